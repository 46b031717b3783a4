//! `koch plot`.

use crate::args::{SweepArgs, write_file};
use crate::{Failure, Outcome};
use ::report::{Chart, Figure, LARGEST, SMALLEST, png, svg};
use clap::builder::{PossibleValuesParser, RangedI64ValueParser, TypedValueParser};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Which chart; if not given, all of them go to a directory.
    #[arg(long, value_name = "NAME", value_parser = chart())]
    chart: Option<Chart>,
    /// A .svg or .png file for one chart of one network, or a directory for both of each.
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Width of a picture.
    #[arg(long, default_value_t = 1000, value_name = "PIXELS", value_parser = size())]
    width: u32,
    /// Height of a picture; what suits the chart if not given.
    #[arg(long, value_name = "PIXELS", value_parser = size())]
    height: Option<u32>,
    /// Pixels of a PNG to one of width and height.
    #[arg(long, default_value_t = 2, value_name = "FACTOR", value_parser = clap::value_parser!(u32).range(1..=8))]
    scale: u32,
}

fn size() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::from(SMALLEST)..=i64::from(LARGEST))
}

fn chart() -> impl TypedValueParser<Value = Chart> {
    PossibleValuesParser::new(Chart::ALL.map(Chart::name))
        .try_map(|name| Chart::ALL.into_iter().find(|c| c.name() == name).ok_or("no chart of that name"))
}

pub fn run(args: &Args) -> Outcome {
    let data = args.sweep.read()?;
    let extension = args.output.extension().and_then(|e| e.to_str());
    if let Some(extension @ ("svg" | "png")) = extension {
        let Some(chart) = args.chart else {
            return Err(Failure::Input(format!(
                "{}: one file holds one chart; choose one with --chart, or give a directory",
                args.output.display()
            )));
        };
        let figures = chart.figures(&data)?;
        let [figure] = figures.as_slice() else {
            return Err(Failure::Input(several(args, &figures)));
        };
        return draw(args, figure, &[(&args.output, extension == "png")]);
    }
    let mut figures = Vec::new();
    for chart in args.chart.map_or(Chart::ALL.to_vec(), |chart| vec![chart]) {
        match chart.figures(&data) {
            Ok(of_chart) => figures.extend(of_chart),
            Err(e) if args.chart.is_none() => eprintln!("koch: no {}: {e}", chart.name()),
            Err(e) => return Err(e.into()),
        }
    }
    std::fs::create_dir_all(&args.output).map_err(|e| {
        Failure::Input(format!("{}: {e}; choose a place that can be written", args.output.display()))
    })?;
    let mut names = BTreeSet::new();
    for figure in &figures {
        let mut name = file_name(figure);
        while !names.insert(name.clone()) {
            name.push('_');
        }
        let path = |extension| args.output.join(format!("{name}.{extension}"));
        draw(args, figure, &[(&path("svg"), false), (&path("png"), true)])?;
    }
    Ok(())
}

/// Why there is not one figure.
fn several(args: &Args, figures: &[Figure]) -> String {
    let subjects: Vec<&str> = figures.iter().map(|f| f.subject.as_str()).collect();
    match subjects.as_slice() {
        [] => "the files have no row for this chart; run `koch sweep` on other points".to_owned(),
        _ => format!(
            "{}: one file holds one of {}; choose with --network, or give a directory",
            args.output.display(),
            subjects.join(", ")
        ),
    }
}

/// Writes files, those marked as PNG, the others as SVG.
fn draw(args: &Args, figure: &Figure, files: &[(&Path, bool)]) -> Outcome {
    let picture = svg(figure, args.width, args.height.unwrap_or(figure.height + 40))?;
    for &(path, as_png) in files {
        if as_png {
            write_file(path, &png(&picture, args.scale)?)?;
        } else {
            write_file(path, picture.as_bytes())?;
        }
    }
    Ok(())
}

/// Chart and subject, of letters, digits, `-`, `.` and `_`.
fn file_name(figure: &Figure) -> String {
    let name = match figure.subject.as_str() {
        "" => figure.chart.name().to_owned(),
        subject => format!("{}-{subject}", figure.chart.name()),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    name.chars().map(plain).take(100).collect()
}
