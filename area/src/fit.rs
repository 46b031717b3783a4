//! Linear least squares, and how far off its result is.

use crate::Broken;
use nalgebra::{DMatrix, DVector};
use serde::Serialize;
use spec::Config;

/// What a resource grows with: its name, and its value for a config.
pub(crate) type Term = (&'static str, fn(&Config) -> f64);

/// How far estimates are from what Yosys counts, as shares of the count.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Errors {
    /// Share of the counts' variance that the estimates explain.
    pub r_squared: f64,
    /// Mean error of the points.
    pub mean: f64,
    /// Worst error of the points.
    pub worst: f64,
    /// Mean error of a point by the fit to all others. Where nothing is fitted, the mean error.
    pub left_out_mean: f64,
    /// Worst error of a point by the fit to all others.
    pub left_out_worst: f64,
}

impl Errors {
    /// The errors of estimates, and of those of a point by the others.
    pub(crate) fn new(counted: &[f64], estimated: &[f64], left_out: &[f64]) -> Self {
        let points = counted.len() as f64;
        let average = counted.iter().sum::<f64>() / points;
        let squares = |of: &mut dyn Iterator<Item = f64>| of.map(|d| d * d).sum::<f64>();
        let residual = squares(&mut counted.iter().zip(estimated).map(|(c, e)| c - e));
        let total = squares(&mut counted.iter().map(|c| c - average));
        let off = |by: &[f64]| {
            let shares: Vec<f64> = counted.iter().zip(by).map(|(c, e)| (e - c).abs() / c).collect();
            (shares.iter().sum::<f64>() / points, shares.iter().copied().fold(0.0, f64::max))
        };
        let ((mean, worst), (left_out_mean, left_out_worst)) = (off(estimated), off(left_out));
        Self { r_squared: 1.0 - residual / total, mean, worst, left_out_mean, left_out_worst }
    }
}

/// Coefficients of terms.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub(crate) terms: &'static [Term],
    pub(crate) coefficients: Vec<f64>,
    /// The estimate of each point by the fit to all others.
    pub(crate) left_out: Vec<f64>,
}

impl Fit {
    /// The coefficients with the least sum of squares of (estimate - count) × weight.
    pub(crate) fn new(
        terms: &'static [Term],
        configs: &[Config],
        counts: &[f64],
        weights: &[f64],
    ) -> Result<Self, Broken> {
        let matrix =
            DMatrix::from_fn(configs.len(), terms.len(), |i, j| terms[j].1(&configs[i]) * weights[i]);
        let goal = DVector::from_fn(configs.len(), |i, _| counts[i] * weights[i]);
        // Columns of one length, so that the rank does not depend on units.
        let lengths: Vec<f64> = matrix.column_iter().map(|c| c.norm().max(f64::MIN_POSITIVE)).collect();
        let scaled = DMatrix::from_fn(configs.len(), terms.len(), |i, j| matrix[(i, j)] / lengths[j]);
        let svd = scaled.svd(true, true);
        let (points, wanted) = (configs.len(), terms.len());
        if svd.rank(1e-6) < wanted {
            return Err(Broken(format!(
                "{points} points do not determine {wanted} coefficients: add points to scripts/area.py"
            )));
        }
        let solution = svd.solve(&goal, 0.0).map_err(|e| Broken(e.to_owned()))?;
        let coefficients: Vec<f64> = solution.iter().zip(&lengths).map(|(x, length)| x / length).collect();
        let mut fit = Self { terms, coefficients, left_out: vec![] };
        // The residual without a point is its residual with it ÷ (1 - leverage).
        for (i, config) in configs.iter().enumerate() {
            let leverage = svd.u.as_ref().map_or(0.0, |u| u.row(i).norm_squared());
            let residual = fit.at(config) - counts[i];
            fit.left_out.push(counts[i] + residual / (1.0 - leverage).max(f64::EPSILON));
        }
        Ok(fit)
    }

    /// The sum of the terms, and not less than nothing.
    pub(crate) fn at(&self, config: &Config) -> f64 {
        let sum: f64 = self.terms.iter().zip(&self.coefficients).map(|((_, of), c)| of(config) * c).sum();
        sum.max(0.0)
    }
}
