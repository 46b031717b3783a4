//! Figures as files: SVG by ECharts in an embedded JavaScript engine, PNG from that.

use crate::{Error, Figure, Result};
use resvg::{tiny_skia, usvg};
use rquickjs::{CatchResultExt as _, Context, Function, Runtime};
use std::sync::Arc;

/// Apache ECharts 6.1.0, see assets/README.md.
pub const ECHARTS: &str = include_str!("../assets/echarts/echarts.min.js");
/// What options need beside ECharts.
pub const CHARTS: &str = include_str!("../assets/charts.js");
const DRAW: &str = include_str!("../assets/draw.js");
/// Liberation Sans 2.1.5, so that a picture is the same on every machine.
const FONT: &[u8] = include_bytes!("../assets/liberation/LiberationSans-Regular.ttf");

/// Least width and height of a picture.
pub const SMALLEST: u32 = 200;
/// Most width and height of a picture.
pub const LARGEST: u32 = 8000;

/// Bytes that the JavaScript engine may take.
const MEMORY: usize = 1 << 30;
/// Bytes of its stack, well below those of a thread.
const STACK: usize = 1 << 20;

/// Draws a figure as SVG. The same figure gives the same bytes.
pub fn svg(figure: &Figure, width: u32, height: u32) -> Result<String> {
    for (name, size) in [("width", width), ("height", height)] {
        if !(SMALLEST..=LARGEST).contains(&size) {
            return Err(Error::new(format!(
                "{name} of {size}: choose one of {SMALLEST} to {LARGEST} pixels"
            )));
        }
    }
    let engine = |e: rquickjs::Error| Error::new(format!("the JavaScript engine: {e}"));
    let runtime = Runtime::new().map_err(engine)?;
    runtime.set_memory_limit(MEMORY);
    runtime.set_max_stack_size(STACK);
    // A context of its own, as ECharts counts the elements of all charts in one.
    let context = Context::full(&runtime).map_err(engine)?;
    context.with(|js| {
        let drawn = (|| {
            for script in [ECHARTS, CHARTS, DRAW] {
                js.eval::<(), _>(script)?;
            }
            let draw: Function<'_> = js.globals().get("draw")?;
            draw.call::<_, String>((figure.option_json(), width, height, figure.heading()))
        })();
        drawn.catch(&js).map_err(|e| Error::new(format!("{}: {e}", figure.heading())))
    })
}

/// Draws SVG, as of [`svg`], to a PNG of `scale` pixels to the unit.
///
/// Its font has Latin, Greek and Cyrillic letters; others become boxes.
pub fn png(svg: &str, scale: u32) -> Result<Vec<u8>> {
    let error = |e: &dyn std::fmt::Display| Error::new(format!("the picture as PNG: {e}"));
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("Liberation Sans");
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        font_family: "Liberation Sans".into(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| error(&e))?;
    let size = tree.size().to_int_size();
    let (width, height) = (size.width().saturating_mul(scale), size.height().saturating_mul(scale));
    if width.max(height) > LARGEST {
        return Err(error(&format!("{width} x {height} pixels: choose at most {LARGEST} each way")));
    }
    let mut pixels = tiny_skia::Pixmap::new(width, height).ok_or_else(|| error(&"no size"))?;
    let transform = tiny_skia::Transform::from_scale(scale as f32, scale as f32);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| error(&e))
}
