//! Settings of PLLs, and the module `koch_clock` around each.

/// `koch_clock` with a primitive's parameters and pins.
fn module(comment: &str, primitive: &str, parameters: &[(&str, String)], pins: &[(&str, &str)]) -> String {
    let list = |items: Vec<String>| items.join(",\n    ");
    let parameters = list(parameters.iter().map(|(n, v)| format!(".{n} ({v})")).collect());
    let pins = list(pins.iter().map(|(n, v)| format!(".{n} ({v})")).collect());
    format!(
        "// {comment}\n// Latency: none.\n\n`default_nettype none\n\nmodule koch_clock (\n  input  logic clk_i,\n  \
         output logic clk_o,\n  output logic locked_o\n);\n\n  {primitive} #(\n    {parameters}\n  ) u_pll (\n    \
         {pins}\n  );\n\nendmodule\n\n`default_nettype wire\n"
    )
}

/// The EHXPLLL that comes closest to `out` MHz from `osc` MHz, with the frequency made.
pub fn ecp5(osc: f64, out: f64) -> Option<(f64, String)> {
    let mut best: Option<(f64, u32, u32, u32)> = None;
    for divide in 1..=128u32 {
        // Limits of the data sheet: phase detector 3.125 to 400 MHz, VCO 400 to 800 MHz.
        if !(3.125..=400.0).contains(&(osc / f64::from(divide))) {
            continue;
        }
        for multiply in 1..=80u32 {
            let made = osc / f64::from(divide) * f64::from(multiply);
            let Some(post) = (1..=128u32)
                .filter(|&p| (400.0..=800.0).contains(&(made * f64::from(p))))
                .min_by_key(|&p| (made * f64::from(p) - 600.0).abs() as u64)
            else {
                continue;
            };
            if best.is_none_or(|(b, ..)| (made - out).abs() < (b - out).abs() - 1e-9) {
                best = Some((made, divide, multiply, post));
            }
        }
    }
    let (made, divide, multiply, post) = best?;
    let text = |t: &str| format!("\"{t}\"");
    let number = |n: u32| n.to_string();
    let parameters = [
        ("PLLRST_ENA", text("DISABLED")),
        ("INTFB_WAKE", text("DISABLED")),
        ("STDBY_ENABLE", text("DISABLED")),
        ("DPHASE_SOURCE", text("DISABLED")),
        ("OUTDIVIDER_MUXA", text("DIVA")),
        ("OUTDIVIDER_MUXB", text("DIVB")),
        ("OUTDIVIDER_MUXC", text("DIVC")),
        ("OUTDIVIDER_MUXD", text("DIVD")),
        ("CLKI_DIV", number(divide)),
        ("CLKOP_ENABLE", text("ENABLED")),
        ("CLKOP_DIV", number(post)),
        ("CLKOP_CPHASE", number(post / 2)),
        ("CLKOP_FPHASE", number(0)),
        ("FEEDBK_PATH", text("CLKOP")),
        ("CLKFB_DIV", number(multiply)),
    ];
    let pins = [
        ("RST", "1'b0"),
        ("STDBY", "1'b0"),
        ("CLKI", "clk_i"),
        ("CLKOP", "clk_o"),
        ("CLKFB", "clk_o"),
        ("CLKINTFB", ""),
        ("PHASESEL0", "1'b0"),
        ("PHASESEL1", "1'b0"),
        ("PHASEDIR", "1'b1"),
        ("PHASESTEP", "1'b1"),
        ("PHASELOADREG", "1'b1"),
        ("PLLWAKESYNC", "1'b0"),
        ("ENCLKOP", "1'b0"),
        ("LOCK", "locked_o"),
    ];
    let attributes =
        format!("(* FREQUENCY_PIN_CLKI=\"{osc}\", FREQUENCY_PIN_CLKOP=\"{made:.6}\" *)\n  EHXPLLL");
    let comment = format!("{osc} MHz to {made:.3} MHz.");
    Some((made, module(&comment, &attributes, &parameters, &pins)))
}

/// The SB_PLL40_PAD that comes closest to `out` MHz from `osc` MHz, with the frequency made; no PLL if they are equal.
pub fn ice40(osc: f64, out: f64) -> Option<(f64, String)> {
    if (osc - out).abs() < 1e-9 {
        let text = "// The oscillator's clock as it is.\n// Latency: none.\n\n`default_nettype none\n\nmodule koch_clock (\n  \
                    input  logic clk_i,\n  output logic clk_o,\n  output logic locked_o\n);\n\n  assign clk_o = clk_i;\n  \
                    assign locked_o = 1'b1;\n\nendmodule\n\n`default_nettype wire\n";
        return Some((osc, text.to_owned()));
    }
    let mut best: Option<(f64, u32, u32, u32)> = None;
    for divide in 0..=15u32 {
        let reference = osc / f64::from(divide + 1);
        // Limits of the data sheet: phase detector 10 to 133 MHz, VCO 533 to 1066 MHz.
        if !(10.0..=133.0).contains(&reference) {
            continue;
        }
        for multiply in 0..=127u32 {
            let vco = reference * f64::from(multiply + 1);
            if !(533.0..=1066.0).contains(&vco) {
                continue;
            }
            for post in 1..=6u32 {
                let made = vco / f64::from(1 << post);
                if best.is_none_or(|(b, ..)| (made - out).abs() < (b - out).abs() - 1e-9) {
                    best = Some((made, divide, multiply, post));
                }
            }
        }
    }
    let (made, divide, multiply, post) = best?;
    // The loop filter by the phase detector's frequency.
    let reference = osc / f64::from(divide + 1);
    let range = [17.0, 26.0, 44.0, 66.0, 101.0].iter().position(|&f| reference < f).map_or(6, |k| k + 1);
    let parameters = [
        ("FEEDBACK_PATH", "\"SIMPLE\"".to_owned()),
        ("DIVR", format!("4'd{divide}")),
        ("DIVF", format!("7'd{multiply}")),
        ("DIVQ", format!("3'd{post}")),
        ("FILTER_RANGE", format!("3'd{range}")),
    ];
    let pins = [
        ("PACKAGEPIN", "clk_i"),
        ("PLLOUTGLOBAL", "clk_o"),
        ("LOCK", "locked_o"),
        ("RESETB", "1'b1"),
        ("BYPASS", "1'b0"),
    ];
    let comment = format!("{osc} MHz to {made:.3} MHz.");
    Some((made, module(&comment, "SB_PLL40_PAD", &parameters, &pins)))
}
