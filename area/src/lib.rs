//! Estimates of what a design point costs, from structure and from a linear fit to what Yosys makes of others.
//!
//! What is counted and how far off the estimates are is in `docs/area.md`.

mod data;
mod exact;
mod fit;
mod terms;

pub use fit::Errors;

use data::Point;
use fit::{Fit, Term};
use serde::Serialize;
use spec::Config;
use std::fmt;
use std::fmt::Write as _;

/// LUTs of a distributed RAM of 16 × 4 bits: three slices of two.
const LUTS_PER_RAM: u32 = 6;
/// Transistors of a bit of memory: the cell of a static RAM with two ports.
const TRANSISTORS_PER_BIT: u64 = 8;

/// What a design point costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Area {
    /// 4-input LUTs of an ECP5, with those that carry chains and distributed RAMs take.
    pub luts: u64,
    /// Flip-flops of an ECP5.
    pub ffs: u64,
    /// 18 × 18 bit multipliers of an ECP5.
    pub multipliers: u64,
    /// Block RAMs of an ECP5, of 18 kbit.
    pub block_rams: u64,
    /// Transistors of logic in static CMOS, flip-flops and multipliers included, and of memories. The one number to
    /// compare design points by.
    pub transistors: u64,
}

/// Data that do not make a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "area model: {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// How a resource is estimated, and how well.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Resource {
    /// What it is, as in [`Area`].
    pub name: &'static str,
    /// By fit or by formula.
    pub how: &'static str,
    /// The fit's terms with their coefficients.
    pub terms: Vec<(&'static str, f64)>,
    /// How far estimates are from what Yosys counts.
    pub errors: Errors,
}

/// The estimate, fitted.
#[derive(Clone, Debug)]
pub struct Model {
    luts: Fit,
    ffs: Fit,
    transistors: Fit,
    resources: Vec<Resource>,
    points: usize,
}

/// A fit and what it makes of points.
fn fitted(
    terms: &'static [Term],
    configs: &[Config],
    counts: &[f64],
    known: &[f64],
) -> Result<(Fit, Errors), Broken> {
    let totals: Vec<f64> = counts.iter().zip(known).map(|(a, b)| a + b).collect();
    let weights: Vec<f64> = totals.iter().map(|t| 1.0 / t).collect();
    let fit = Fit::new(terms, configs, counts, &weights)?;
    let add = |(estimate, known): (f64, &f64)| estimate + known;
    let estimates: Vec<f64> = configs.iter().map(|c| fit.at(c)).zip(known).map(add).collect();
    let left_out: Vec<f64> = fit.left_out.iter().copied().zip(known).map(add).collect();
    let errors = Errors::new(&totals, &estimates, &left_out);
    Ok((fit, errors))
}

impl Model {
    /// Fits the estimate to the points of `area/yosys.csv`.
    ///
    /// # Errors
    /// If that file is damaged or has too few points.
    pub fn new() -> Result<Self, Broken> {
        let points = data::points()?;
        let configs: Vec<Config> = points.iter().map(|p| p.config.clone()).collect();
        let all = |of: &dyn Fn(&Point) -> f64| points.iter().map(of).collect::<Vec<f64>>();
        let none = vec![0.0; points.len()];

        let logic = all(&|p| p.logic_luts.into());
        let in_rams = all(&|p| (p.distributed_rams * LUTS_PER_RAM).into());
        let (luts, luts_errors) = fitted(terms::LUTS, &configs, &logic, &in_rams)?;
        let (ffs, ffs_errors) = fitted(terms::FFS, &configs, &all(&|p| p.ffs.into()), &none)?;
        let logic = all(&|p| p.logic_transistors as f64);
        let (transistors, logic_errors) = fitted(terms::TRANSISTORS, &configs, &logic, &none)?;
        let memory = all(&|p| (p.memory_bits * TRANSISTORS_PER_BIT) as f64);

        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
        let estimates: Vec<f64> = configs.iter().map(|c| transistors.at(c)).collect();
        let total_errors = Errors::new(
            &sum(&logic, &memory),
            &sum(&estimates, &memory),
            &sum(&transistors.left_out, &memory),
        );

        let exact = |counted: &dyn Fn(&Point) -> f64, formula: &dyn Fn(&Config) -> f64| {
            let estimates: Vec<f64> = configs.iter().map(formula).collect();
            Errors::new(&all(counted), &estimates, &estimates)
        };
        let named = |fit: &Fit| {
            fit.terms.iter().zip(&fit.coefficients).map(|((name, _), c)| (*name, *c)).collect::<Vec<_>>()
        };
        let resource = |name, how, terms, errors| Resource { name, how, terms, errors };
        let resources = vec![
            resource("luts", "fit + 6 · distributed_rams", named(&luts), luts_errors),
            resource("ffs", "fit", named(&ffs), ffs_errors),
            resource(
                "multipliers",
                "rows · cols + 4 · lanes + 5 · lanes · [post]",
                vec![],
                exact(&|p| p.multipliers.into(), &|c| exact::multipliers(c).into()),
            ),
            resource(
                "block_rams",
                "banks of buffers",
                vec![],
                exact(&|p| p.block_rams.into(), &|c| exact::block_rams(c).into()),
            ),
            resource(
                "distributed_rams",
                "other memories, shallow banks",
                vec![],
                exact(&|p| p.distributed_rams.into(), &|c| exact::distributed_rams(c).into()),
            ),
            resource(
                "memory_bits",
                "all memories",
                vec![],
                exact(&|p| p.memory_bits as f64, &|c| exact::memory_bits(c) as f64),
            ),
            resource("logic_transistors", "fit", named(&transistors), logic_errors),
            resource("transistors", "logic_transistors + 8 · memory_bits", vec![], total_errors),
        ];
        Ok(Self { luts, ffs, transistors, resources, points: points.len() })
    }

    /// What a config costs.
    pub fn estimate(&self, config: &Config) -> Area {
        let memory = exact::memory_bits(config) * TRANSISTORS_PER_BIT;
        let in_rams = u64::from(exact::distributed_rams(config) * LUTS_PER_RAM);
        Area {
            luts: self.luts.at(config).round() as u64 + in_rams,
            ffs: self.ffs.at(config).round() as u64,
            multipliers: exact::multipliers(config).into(),
            block_rams: exact::block_rams(config).into(),
            transistors: self.transistors.at(config).round() as u64 + memory,
        }
    }

    /// How each resource is estimated.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resources' errors and coefficients as Markdown.
    pub fn page(&self) -> String {
        let mut out = format!(
            "{} points. Errors are in per cent of what Yosys counts; *left out* is each point by the fit to all others.\n\n\
             | resource | how | R² | mean | worst | left out: mean | worst |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
            self.points
        );
        for Resource { name, how, errors: e, .. } in &self.resources {
            let percent =
                [e.mean, e.worst, e.left_out_mean, e.left_out_worst].map(|x| format!("{:.2}", 100.0 * x));
            let _ = writeln!(out, "| {name} | {how} | {:.4} | {} |", e.r_squared, percent.join(" | "));
        }
        for Resource { name, terms, .. } in self.resources.iter().filter(|r| !r.terms.is_empty()) {
            let _ = write!(out, "\n| {name}: coefficient | of |\n| ---: | --- |\n");
            for (term, coefficient) in terms {
                let _ = writeln!(out, "| {coefficient:.2} | {term} |");
            }
        }
        out
    }
}
