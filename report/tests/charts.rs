//! Reading a sweep, and what the charts show of it.

mod sweep;

use report::{Chart, Choice, Data, Figure, page, png, svg};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use tempfile::TempDir;

fn directory(points: usize) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    sweep::write(dir.path(), points);
    dir
}

fn read(dir: &Path) -> Data {
    Data::read(dir, &Choice::default()).expect("a sweep")
}

fn refusal(dir: &Path, choice: &Choice) -> String {
    Data::read(dir, choice).expect_err("a refusal").to_string()
}

fn figures(data: &Data) -> Vec<Figure> {
    Chart::ALL.iter().flat_map(|chart| chart.figures(data).expect("figures")).collect()
}

/// The index of a dimension of a series.
fn dimension(series: &Value, name: &str) -> usize {
    let dimensions = series["dimensions"].as_array().expect("dimensions");
    dimensions.iter().position(|d| d == name).expect("the dimension")
}

fn rows(series: &Value) -> &Vec<Value> {
    series["data"].as_array().expect("data")
}

#[test]
fn vendored_files_are_what_they_were() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let list = std::fs::read_to_string(assets.join("README.md")).expect("a list");
    for file in ["echarts/echarts.min.js", "liberation/LiberationSans-Regular.ttf"] {
        let bytes = std::fs::read(assets.join(file)).expect("a file");
        let sum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let row = list.lines().find(|l| l.contains(&format!("`{file}`"))).expect("a row");
        assert!(row.contains(&sum), "{file} has {sum}");
    }
}

#[test]
fn a_chart_without_its_file_says_so() {
    let dir = directory(73);
    for (file, chart) in [
        ("timeline.csv", Chart::Timeline),
        ("pareto.csv", Chart::Pareto),
        ("layers.csv", Chart::Roofline),
        ("layers.csv", Chart::Stalls),
    ] {
        let _ = std::fs::remove_file(dir.path().join(file));
        let data = read(dir.path());
        let said = chart.figures(&data).expect_err("no figure").to_string();
        assert!(said.contains(file) && said.contains("`koch "), "{said}");
        assert!(page(&data).contains(&said), "the page says it too");
    }
    std::fs::remove_file(dir.path().join("check.csv")).expect("check.csv");
    read(dir.path());
    std::fs::remove_file(dir.path().join("points.csv")).expect("points.csv");
    let said = refusal(dir.path(), &Choice::default());
    assert!(said.contains("no points.csv; give a directory"), "{said}");
}

#[test]
fn wrong_files_are_refused_with_file_and_line() {
    let good = directory(73);
    for (file, from, to, expected) in [
        ("points.csv", ",status,", ",state,", "points.csv, line 2: no column `status`"),
        ("points.csv", ",area\n", ",volume\n", "points.csv, line 2: missing field `area`"),
        ("points.csv", ",ok,16,", ",ok,many,", "points.csv, line 2: column macs, \"many\": "),
        ("points.csv", ",ok,16,", ",ok,,", "points.csv, line 2: column macs, \"\": "),
        ("points.csv", ",200,ok,", ",NaN,ok,", "points.csv, line 2: NaN where a number from 0 on belongs"),
        ("points.csv", ",ok,16,", ",ok,16,16,", "points.csv, line 2: 38 fields where the header has 37"),
        ("pareto.csv", "\n0,", "\n-1,", "pareto.csv, line 2: column point, \"-1\": "),
        ("layers.csv", "\n0,", "\n999,", "layers.csv, line 2: point 999 of resnet is not among"),
        ("layers.csv", ",300,", ",301,", "layers.csv, line 2: mac_busy_cycles and the columns idle_"),
        ("layers.csv", ",300,", ",x,", "layers.csv, line 2: column idle_load, \"x\": "),
        ("check.csv", ",6990,", ",,", "check.csv, line 2: column cycles, \"\": "),
        ("check.csv", ",true", ",maybe", "check.csv, line 2: column equal, \"maybe\": "),
        ("timeline.csv", ",0,80\n", ",81,80\n", "timeline.csv, line 2: end 80 is before start 81"),
    ] {
        let dir = directory(73);
        let path = dir.path().join(file);
        let text = std::fs::read_to_string(good.path().join(file)).expect("a file");
        let wrong = text.replacen(from, to, 1);
        assert_ne!(text, wrong, "{file} has {from:?}");
        std::fs::write(&path, wrong).expect("a file");
        let said = refusal(dir.path(), &Choice::default());
        assert!(said.contains(expected), "{expected} is not in {said}");
        let writer = if file == "timeline.csv" { "koch model --timeline" } else { "koch sweep" };
        assert!(said.ends_with(&format!("; run `{writer}` again")), "{said}");
    }
    std::fs::write(good.path().join("points.csv"), b"point,network\n\xff,x\n").expect("a file");
    let said = refusal(good.path(), &Choice::default());
    assert!(said.contains("points.csv, line 2: bytes that are no UTF-8"), "{said}");
}

#[test]
fn a_choice_must_exist() {
    let dir = directory(73);
    let choice = Choice { network: Some("vgg".into()), ..Choice::default() };
    assert!(refusal(dir.path(), &choice).contains("\"vgg\" is not in points.csv; it has resnet"));
    let choice = Choice { point: Some(7), ..Choice::default() };
    let said = refusal(dir.path(), &choice);
    assert!(said.contains("point 7 is not in layers.csv; choose one that is, as 0, 5"), "{said}");
    let choice = Choice { point: Some(0), network: Some("resnet".into()) };
    let data = Data::read(dir.path(), &choice).expect("a sweep");
    assert_eq!(data.networks, ["resnet"]);
    let layers = data.layers.expect("layers");
    assert_eq!((layers.len(), layers["resnet"].point.point, layers["resnet"].rows.len()), (1, 0, 4));
}

/// SVG that XML takes, without what could run or load, and the same each time.
#[test]
fn every_chart_is_drawn_alike() {
    let dir = directory(73);
    let data = read(dir.path());
    let figures = figures(&data);
    assert_eq!(figures.len(), 4 * 2 + 2, "all but knee and timeline are drawn for each network");
    for figure in &figures {
        let name = figure.heading();
        let picture = svg(figure, 900, 500).expect("a picture");
        assert_eq!(picture, svg(figure, 900, 500).expect("a picture"), "{name}");
        let tree = roxmltree::Document::parse(&picture).unwrap_or_else(|e| panic!("{name}: {e}"));
        let size = |name: &str| tree.root_element().attribute(name);
        assert_eq!((size("width"), size("height")), (Some("900"), Some("500")));
        assert!(tree.descendants().all(|n| !["script", "image"].contains(&n.tag_name().name())), "{name}");
        let text: String = tree.descendants().filter_map(|n| n.text()).collect();
        assert!(text.contains(&name), "{name} is its heading");
        assert!(!picture.contains("NaN") && !text.contains('@'), "{name}");
        let image = png(&picture, 2).expect("an image");
        let number = |at: usize| u32::from_be_bytes(image[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((number(16), number(20)), (1800, 1000), "{name}");
        assert!(image.len() > 10_000, "{name} is {} bytes", image.len());
    }
    for (width, height) in [(1, 500), (500, 100_000)] {
        assert!(svg(&figures[0], width, height).expect_err("no size").to_string().contains("200 to 8000"));
    }
    let picture = svg(&figures[0], 8000, 200).expect("a picture");
    assert!(png(&picture, 2).expect_err("too large").to_string().contains("16000 x 400 pixels"));
}

#[test]
fn a_cell_is_the_best_of_its_shape() {
    let dir = directory(73);
    let data = read(dir.path());
    for figure in Chart::Heatmap.figures(&data).expect("figures") {
        let series = &figure.option["series"][0];
        let (rows_at, cols_at, efficiency) =
            (dimension(series, "rows"), dimension(series, "cols"), dimension(series, "efficiency"));
        let names = |axis: &str, at: &Value| {
            figure.option[axis]["data"][at.as_f64().expect("a place") as usize].as_str().map(str::to_owned)
        };
        assert_eq!(rows(series).len(), 9);
        for cell in rows(series).iter().map(|cell| &cell["value"]) {
            let best = data.points.iter().filter(|p| {
                p.network == figure.subject && cell[rows_at] == p.rows && cell[cols_at] == p.cols
            });
            assert_eq!(cell[efficiency].as_f64(), best.map(|p| p.efficiency.0).reduce(f64::max));
            assert_eq!(names("yAxis", &cell[1]), Some(cell[rows_at].to_string()));
            assert_eq!(names("xAxis", &cell[0]), Some(cell[cols_at].to_string()));
        }
    }
}

#[test]
fn a_knee_is_the_lower_envelope() {
    let dir = directory(400);
    let data = read(dir.path());
    let figure = &Chart::Knee.figures(&data).expect("figures")[0];
    for (network, series) in sweep::NETWORKS.iter().zip([0, 2]) {
        let line = &figure.option["series"][series];
        assert_eq!((line["type"].as_str(), line["name"].as_str()), (Some("line"), Some(*network)));
        let steps: Vec<(f64, f64)> = rows(line)
            .iter()
            .map(|r| if r.is_object() { &r["value"] } else { r })
            .map(|r| (r[0].as_f64().expect("bytes"), r[1].as_f64().expect("a ratio")))
            .collect();
        for p in data.points.iter().filter(|p| p.network == *network) {
            let least = steps.iter().rfind(|(bytes, _)| *bytes <= p.buffer_bytes as f64).expect("a step").1;
            assert!(least <= p.traffic_ratio.0);
        }
        for (bytes, ratio) in &steps {
            let enough = |p: &&report::Point| p.network == *network && p.buffer_bytes as f64 <= *bytes;
            let least = data.points.iter().filter(enough).map(|p| p.traffic_ratio.0).reduce(f64::min);
            assert_eq!(Some(*ratio), least);
        }
    }
}

#[test]
fn fronts_and_layers_are_those_of_the_files() {
    let dir = directory(73);
    let data = read(dir.path());
    let front = data.front.as_ref().expect("a front");
    for figure in Chart::Pareto.figures(&data).expect("figures") {
        let all = figure.option["series"].as_array().expect("series");
        let lines = || all.iter().filter(|s| s["type"] == "line").flat_map(rows);
        let of_network: Vec<_> = front.iter().filter(|p| p.network == figure.subject).collect();
        assert_eq!(lines().count(), of_network.len());
        for p in of_network {
            assert!(lines().any(|r| r[0].as_f64() == Some(p.cycles as f64)
                && r[1].as_f64() == Some(p.area.0)
                && r[2] == p.point));
        }
    }
    let layers = data.layers.as_ref().expect("layers");
    for figure in Chart::Stalls.figures(&data).expect("figures") {
        let series = figure.option["series"].as_array().expect("series");
        let names: Vec<_> = series.iter().filter_map(|s| s["name"].as_str()).collect();
        assert_eq!(names, ["busy", "load", "store", "never"], "causes look alike in all figures");
        for (i, layer) in layers[&figure.subject].rows.iter().enumerate() {
            let cycles: u64 = series.iter().filter_map(|s| rows(s)[i][3].as_u64()).sum();
            let share: f64 = series.iter().filter_map(|s| rows(s)[i][0].as_f64()).sum();
            assert_eq!(cycles, layer.cycles);
            assert!((share - 100.0).abs() < 1e-9);
        }
    }
    for figure in Chart::Roofline.figures(&data).expect("figures") {
        let series = |name: &str| {
            let all = figure.option["series"].as_array().expect("series");
            rows(all.iter().find(|s| s["name"] == name).expect("the series"))
        };
        let point = &layers[&figure.subject].point;
        assert_eq!((series("theory").len(), series("model").len(), series("RTL").len()), (3, 3, 1));
        for row in series("theory") {
            let roof = (point.macs as f64).min(row[0].as_f64().expect("x") * point.bytes_per_cycle as f64);
            assert!(row[1].as_f64().expect("y") <= roof * 1.000_001, "on or below the roof");
        }
        let layer = &layers[&figure.subject].rows[1];
        assert_eq!(series("model")[1][1].as_f64(), Some(layer.useful_macs as f64 / layer.cycles as f64));
        assert_eq!(series("RTL")[0][3].as_u64(), layer.rtl.as_ref().map(|c| c.cycles));
    }
}

#[test]
fn a_run_that_differs_is_shown_as_such() {
    let dir = directory(73);
    let path = dir.path().join("check.csv");
    let text = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, text.replacen("true", "false", 2)).expect("a file");
    for figure in Chart::Roofline.figures(&read(dir.path())).expect("figures") {
        let names: Vec<_> =
            figure.option["series"].as_array().expect("series").iter().map(|s| &s["name"]).collect();
        assert!(
            names.contains(&&Value::from("RTL, differs")) && !names.contains(&&Value::from("RTL")),
            "{names:?}"
        );
        assert!(figure.caption.contains(" 1 of the runs on the RTL differ"), "{}", figure.caption);
    }
}

#[test]
fn logarithmic_axes_hold_their_points_closely() {
    let dir = directory(73);
    let data = read(dir.path());
    for figure in figures(&data) {
        for (place, axis) in ["xAxis", "yAxis"].into_iter().enumerate() {
            let axis = &figure.option[axis];
            let (Some(low), Some(high)) = (axis["min"].as_f64(), axis["max"].as_f64()) else { continue };
            let dots = figure.option["series"].as_array().expect("series").iter();
            let dots = dots.filter(|s| s["type"] == "scatter").flat_map(rows);
            let at: Vec<f64> = dots.filter_map(|r| r[place].as_f64()).collect();
            assert!(at.iter().all(|v| (low..=high).contains(v)), "{}: {at:?}", figure.heading());
            let ticks = axis["axisLabel"]["customValues"].as_array().map_or(0, Vec::len);
            assert!((3..=20).contains(&ticks), "{}: {axis}", figure.heading());
        }
    }
}

#[test]
fn busy_cycles_hide_when_causes_would_be_slivers() {
    let dir = directory(73);
    let mut data = read(dir.path());
    let shown = |data: &Data| {
        let figures = Chart::Stalls.figures(data).expect("figures");
        figures.iter().map(|f| f.option["legend"]["selected"]["busy"] == true).collect::<Vec<_>>()
    };
    assert_eq!(shown(&data), [true, true]);
    for layer in data.layers.iter_mut().flat_map(|l| l.values_mut()).flat_map(|l| &mut l.rows) {
        layer.idle.fill(0);
        layer.cycles = layer.mac_busy_cycles;
    }
    assert_eq!(shown(&data), [false, false]);
}

/// Instructions are merged in a long timeline, and none is lost.
#[test]
fn a_long_timeline_has_few_bars() {
    let dir = directory(73);
    std::fs::write(dir.path().join("timeline.csv"), sweep::timeline(40_000)).expect("a file");
    let figure = &Chart::Timeline.figures(&read(dir.path())).expect("figures")[0];
    let bars = rows(&figure.option["series"][0]);
    assert!(bars.len() <= 20_004, "{} bars", bars.len());
    let last = bars.iter().filter_map(|b| b[2].as_u64()).max();
    assert_eq!(last, Some(100 * 39_999 + 450 + 80));
    assert!(figure.caption.contains("share a bar"), "{}", figure.caption);
}

#[test]
fn a_page_of_many_points_is_small() {
    let dir = directory(50_000);
    let data = read(dir.path());
    assert_eq!((data.points.len(), data.failed), (99_998, 2));
    let html = page(&data);
    assert!(html.len() < 4_000_000, "{} bytes", html.len());
    assert!(html.contains("evenly spread ones are shown"));
}

/// Names from files are text wherever they appear.
#[test]
fn names_cannot_leave_their_place() {
    let dir = directory(73);
    let html = page(&read(dir.path()));
    assert!(html.contains("a &quot;b&quot; &lt;c&gt; &amp; 'd', &lt;/script&gt; é"));
    assert!(!html.contains("<c>") && !html.contains('\u{1}'));
    let closed = html.matches("</script").count();
    assert_eq!(closed, html.matches("<script").count(), "no name closes a script");
}
