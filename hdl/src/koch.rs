//! `koch`: the top module, and the list of all modules.

use crate::abuf::clog2_of;
use crate::leaf::{self, Leaf};
use crate::verilog::*;
use crate::*;
use spec::isa::{self, Engine, FORMS, INSTRUCTION_BYTES};
use spec::regs::Counters;
use spec::timing::{self, ISSUE_TO_ARRAY, READ_LATENCY};
use spec::{Config, config::LOAD_WINDOW, config::QUEUE_DEPTH, config::WORD};

/// Cycles from an address of the weight buffer to the operand of column 0.
const WBUF_LATENCY: u32 = 2;
/// Cycles from an address of the parameter buffer to its word.
const PBUF_LATENCY: u32 = 2;

/// Instances and the nets between them: output `x_o` of instance `u_y` drives net `y_x`.
struct Wiring {
    top: Module,
    body: Body,
    modules: Vec<Module>,
}

impl Wiring {
    fn add(&mut self, module: Module) {
        if !self.modules.iter().any(|m| m.name == module.name) {
            self.modules.push(module);
        }
    }

    /// An instance of `module`. Inputs are given without their suffix; `widths` are those of outputs whose width
    /// depends on a parameter.
    fn inst<'a>(
        &mut self,
        module: Module,
        name: &str,
        params: impl IntoIterator<Item = (&'a str, Expr)>,
        widths: &[(&str, u32)],
        inputs: impl IntoIterator<Item = (&'a str, Expr)>,
    ) {
        let inputs: Vec<(String, Expr)> =
            inputs.into_iter().map(|(port, e)| (format!("{port}_i"), e)).collect();
        let mut connections = Vec::new();
        self.top.blank().comment(format!("From u_{name}."));
        for port in &module.ports {
            let e = match port.name.as_str() {
                "clk_i" | "rst_ni" => id(port.name.clone()),
                n if port.dir == Dir::Out => {
                    let plain = n.trim_end_matches("_o");
                    let net = format!("{name}_{plain}");
                    let width = widths.iter().find(|(w, _)| *w == plain);
                    let width = width.map_or_else(|| port.width.clone(), |(_, w)| Expr::from(*w));
                    self.top.logic(net.clone(), width);
                    id(net)
                }
                n => match inputs.iter().find(|(i, _)| i == n) {
                    Some((_, e)) => e.clone(),
                    None => panic!("u_{name} ({}): input {n} is not connected", module.name),
                },
            };
            connections.push((port.name.clone(), e));
        }
        for (input, _) in &inputs {
            assert!(module.find_port(input).is_some(), "{} has no input {input}", module.name);
        }
        let none: [(&str, Expr); 0] = [];
        self.body.inst(module.name.clone(), format!("u_{name}"), params, none);
        for (port, e) in connections {
            self.body.conn(port, e);
        }
        self.add(module);
    }

    fn leaf<'a, L: Leaf>(&mut self, leaf: &L, name: &str, inputs: impl IntoIterator<Item = (&'a str, Expr)>) {
        self.inst(leaf::module(leaf), name, [], &[], inputs);
    }

    /// `to` is `from`, `depth` cycles later.
    fn delay(&mut self, name: &str, depth: u32, nets: &[(&str, u32, Expr)]) {
        let width: u32 = nets.iter().map(|(_, w, _)| w).sum();
        self.top.blank().comment(format!("From u_{name}."));
        for (net, width, _) in nets {
            self.top.logic(*net, *width);
        }
        let cat_of = |parts: Vec<Expr>| if parts.len() == 1 { parts[0].clone() } else { cat(parts) };
        self.body.inst(
            "koch_delay",
            format!("u_{name}"),
            [("Width", Expr::from(width)), ("Depth", Expr::from(depth))],
            [
                ("clk_i", id("clk_i")),
                ("rst_ni", id("rst_ni")),
                ("data_i", cat_of(nets.iter().map(|(_, _, e)| e.clone()).collect())),
                ("data_o", cat_of(nets.iter().map(|(n, _, _)| id(*n)).collect())),
            ],
        );
    }

    fn wire(&mut self, name: &str, width: u32, e: Expr) -> Expr {
        self.top.logic(name, width);
        self.body.assign(name, e);
        id(name)
    }
}

/// Bits of an instruction that `engine` reads: `(lsb, width)` by field, and one past the highest.
fn fields(engine: Engine) -> (Vec<(&'static str, u32, u32)>, u32) {
    let mut list: Vec<(&'static str, u32, u32)> = Vec::new();
    for form in FORMS.iter().filter(|f| f.engine == engine) {
        for f in form.fields {
            if !list.contains(&(f.name, f.lsb, f.width)) {
                list.push((f.name, f.lsb, f.width));
            }
        }
    }
    let top = list.iter().map(|(_, lsb, width)| lsb + width).max().unwrap_or(1);
    (list, top)
}

/// The value of a field in the net `word`.
fn slice(word: &str, lsb: u32, width: u32) -> Expr {
    if width == 1 { id(word).at(lsb) } else { id(word).range(lsb + width - 1, lsb) }
}

/// The inputs of `leaf` that are fields of `engine`'s instructions in `word`.
fn field_inputs<L: Leaf>(leaf: &L, engine: Engine, word: &str) -> Vec<(&'static str, Expr)> {
    let module = leaf::module(leaf);
    fields(engine)
        .0
        .into_iter()
        .filter(|(name, ..)| module.find_port(&format!("{name}_i")).is_some())
        .map(|(name, lsb, width)| (name, slice(word, lsb, width)))
        .collect()
}

/// The inputs of `module` that are fields in `word` and named after the form and the field.
fn form_inputs(module: &Module, word: &str) -> Vec<(String, Expr)> {
    let named = FORMS.iter().flat_map(|form| {
        form.fields.iter().map(|f| (format!("{}_{}", form.name, f.name), slice(word, f.lsb, f.width)))
    });
    named.filter(|(port, _)| module.find_port(&format!("{port}_i")).is_some()).collect()
}

/// Reads the named bits of `word` for nothing, so that no tool takes them for a mistake.
fn unused(b: &mut Body, name: &str, word: &str, width: u32, used: &[(u32, u32)]) {
    let is_used = |bit: u32| used.iter().any(|(lsb, w)| (*lsb..lsb + w).contains(&bit));
    let mut parts = Vec::new();
    let mut bit = 0;
    while bit < width {
        if is_used(bit) {
            bit += 1;
            continue;
        }
        let start = bit;
        while bit < width && !is_used(bit) {
            bit += 1;
        }
        parts.push(slice(word, start, bit - start));
    }
    if !parts.is_empty() {
        b.logic(format!("unused_{name}"), 1);
        b.assign(format!("unused_{name}"), cat(parts).parity());
    }
}

/// The whole accelerator, leaves first, `koch` last.
pub fn design(config: &Config) -> Design {
    let bus = config.bus_bits;
    let operand = config.operand_bits;
    let (lanes, rows, cols) = (config.lanes, config.rows, config.cols);
    let mut top = Module::new("koch", "A systolic accelerator for convolution and fully connected layers.");
    top.note("AXI4 master to memory, AXI4-Lite slave for control; see the register map.");
    top.clocked();
    axi_ports(&mut top, bus);
    let mut w = Wiring { top, body: Body::default(), modules: Vec::new() };
    w.add(delay::module());
    w.add(ram::module());
    w.add(pe::module(config));
    let net = |name: &str| id(name);
    let field = |list: &[(&str, u32, u32)], word: &str, name: &str| {
        list.iter()
            .find(|(n, ..)| *n == name)
            .map_or_else(|| panic!("no field {name}"), |(_, l, w)| slice(word, *l, *w))
    };

    // Control.
    w.body.comment("Control.");
    let regs = regs::Regs::new(config);
    w.leaf(
        &regs,
        "regs",
        [
            ("awvalid", net("s_axil_awvalid")),
            ("awaddr", net("s_axil_awaddr")),
            ("wvalid", net("s_axil_wvalid")),
            ("wdata", net("s_axil_wdata")),
            ("bready", net("s_axil_bready")),
            ("arvalid", net("s_axil_arvalid")),
            ("araddr", net("s_axil_araddr")),
            ("rready", net("s_axil_rready")),
            ("busy", net("control_busy")),
            ("done", net("control_done")),
            ("status", net("control_status")),
            ("counter", net("counters_count")),
            ("layer", net("counters_layer")),
        ],
    );
    for (port, e) in [
        ("awready", "regs_awready"),
        ("wready", "regs_wready"),
        ("bvalid", "regs_bvalid"),
        ("arready", "regs_arready"),
        ("rvalid", "regs_rvalid"),
        ("rdata", "regs_rdata"),
    ] {
        w.body.assign(format!("s_axil_{port}"), e);
    }
    w.body.assign("s_axil_bresp", lit(2, 0));
    w.body.assign("s_axil_rresp", lit(2, 0));
    w.body.assign("irq_o", "regs_interrupt");
    w.leaf(
        &control::Control::new(config),
        "control",
        [
            ("start", net("regs_start")),
            ("fetch_refused", net("fetch_refused")),
            ("fetch_status", net("fetch_status")),
            ("read_fail", net("reads_fail")),
            ("write_fail", net("sender_fail")),
            ("token_overflow", net("token_overflow")),
            ("quiet", net("quiet")),
            ("finished", net("finished")),
            ("cycles", net("counters_cycles")),
            ("limit", net("regs_limit")),
            ("drained", id("reads_idle") & "sender_idle"),
            ("acknowledge", net("regs_acknowledge")),
        ],
    );
    let overflow = ["load_compute", "compute_load", "compute_store", "store_compute", "store_load"]
        .map(|t| id(format!("{t}_overflow")))
        .into_iter()
        .reduce(|a, b| a | b)
        .unwrap_or_else(|| lit(1, 0));
    w.wire("token_overflow", 1, overflow);
    let quiet = [
        "requester_quiet",
        "load_pieces_idle",
        "lister_quiet",
        "feeder_array_idle",
        "gatherer_quiet",
        "reads_idle",
        "sender_idle",
    ];
    let still = [
        "window_valid",
        "window_moving",
        "load_queue_moving",
        "compute_queue_moving",
        "store_queue_moving",
        "load_compute_moving",
        "compute_load_moving",
        "compute_store_moving",
        "store_compute_moving",
        "store_load_moving",
    ];
    let quiet = quiet.into_iter().fold(id("fetch_quiet"), |a, b| a & b);
    let quiet = still.into_iter().fold(quiet, |a, b| a & !id(b));
    w.wire("quiet", 1, quiet);
    w.wire(
        "finished",
        1,
        id("fetch_ended") & !id("load_queue_valid") & !id("compute_queue_valid") & !id("store_queue_valid"),
    );

    // Fetch.
    w.body.blank().comment("Instruction fetch.");
    w.leaf(
        &fetch::Fetch::new(config),
        "fetch",
        [
            ("clear", net("control_flush")),
            ("busy", net("control_busy")),
            ("halt", net("control_halt")),
            ("program", net("regs_program")),
            ("instructions", net("regs_instructions")),
            ("request_ready", net("reads_fetch_ready")),
            ("beat", net("reads_fetch_beat")),
            ("opcode", id("buffer_instruction").range(isa::OPCODE.width - 1, 0)),
            ("quant_depth", field(&fields(Engine::Compute).0, "buffer_instruction", "depth")),
            ("fault", net("check_fault")),
            ("load_full", net("load_queue_full")),
            ("compute_full", net("compute_queue_full")),
            ("store_full", net("store_queue_full")),
        ],
    );
    let beats = fetch::BUFFER * INSTRUCTION_BYTES as u32 / config.bus_bytes();
    let index_bits = beats.trailing_zeros();
    w.inst(
        fetch_buffer::module(config),
        "buffer",
        [],
        &[],
        [
            ("write", net("reads_fetch_beat")),
            ("write_index", id("fetch_write_index").range(index_bits - 1, 0)),
            ("write_data", net("m_axi_rdata")),
            ("read", net("fetch_read")),
            ("read_index", net("fetch_read_index")),
        ],
    );
    unused(&mut w.body, "write_index", "fetch_write_index", 8, &[(0, index_bits)]);
    let check = check::Check::new(config);
    let mut checked = form_inputs(&leaf::module(&check), "buffer_instruction");
    checked.push(("opcode".to_owned(), id("buffer_instruction").range(isa::OPCODE.width - 1, 0)));
    w.leaf(&check, "check", checked.iter().map(|(n, e)| (n.as_str(), e.clone())));
    for (engine, name) in [(Engine::Load, "load"), (Engine::Compute, "compute"), (Engine::Store, "store")] {
        let (_, width) = fields(engine);
        w.inst(
            queue::module(),
            &format!("{name}_queue"),
            [("Width", Expr::from(width)), ("Depth", Expr::from(QUEUE_DEPTH))],
            &[("data", width)],
            [
                ("clear", net("control_flush")),
                ("push", id(format!("fetch_{name}_push"))),
                ("data", id("buffer_instruction").range(width - 1, 0)),
                (
                    "pop",
                    id(if name == "load" {
                        "requester_pop"
                    } else if name == "compute" {
                        "lister_pop"
                    } else {
                        "gatherer_pop"
                    }),
                ),
            ],
        );
    }
    w.leaf(
        &read_master::ReadMaster::new(config),
        "reads",
        [
            ("clear", net("control_clear")),
            ("halt", net("control_halt")),
            ("fetch_valid", net("fetch_request_valid")),
            ("fetch_address", net("fetch_request_address")),
            ("fetch_beats", net("fetch_request_beats")),
            ("load_valid", net("requester_request_valid")),
            ("load_address", net("load_runs_burst_address")),
            ("load_beats", net("load_runs_burst_beats")),
            ("load_take", net("load_pieces_word_over")),
            ("arready", net("m_axi_arready")),
            ("rvalid", net("m_axi_rvalid")),
            ("rlast", net("m_axi_rlast")),
            ("rfail", id("m_axi_rresp").at(1)),
        ],
    );
    let size = config.bus_bytes().trailing_zeros();
    for (port, e) in [
        ("araddr", id("reads_araddr")),
        ("arlen", id("reads_arlen")),
        ("arsize", lit(3, size)),
        ("arburst", lit(2, 1)),
        ("arcache", lit(4, 3)),
        ("arprot", lit(3, 0)),
        ("arvalid", id("reads_arvalid")),
        ("rready", id("reads_rready")),
    ] {
        w.body.assign(format!("m_axi_{port}"), e);
    }

    // Load.
    w.body.blank().comment("Load engine.");
    let requester = load_requester::LoadRequester::new(config);
    let mut inputs = field_inputs(&requester, Engine::Load, "load_queue_data");
    inputs.extend([
        ("clear", net("control_flush")),
        ("halt", net("control_halt")),
        ("valid", net("load_queue_valid")),
        ("store_tokens", net("store_load_count")),
        ("compute_tokens", net("compute_load_count")),
        ("window_full", net("window_full")),
        ("request_ready", net("reads_load_ready")),
        ("burst_last", net("load_runs_burst_last")),
    ]);
    w.leaf(&requester, "requester", inputs);
    let runs = runs::Runs::new(config);
    let mut inputs = field_inputs(&runs, Engine::Load, "load_queue_data");
    let load_fields = fields(Engine::Load).0;
    inputs.extend([
        ("start", net("requester_idle")),
        ("address", field(&load_fields, "load_queue_data", "src")),
        ("prepare", net("requester_prepare")),
    ]);
    w.leaf(&runs, "load_runs", inputs);
    let (_, load_width) = fields(Engine::Load);
    w.inst(
        queue::module(),
        "window",
        [("Width", Expr::from(load_width + 3)), ("Depth", Expr::from(LOAD_WINDOW))],
        &[("data", load_width + 3)],
        [
            ("clear", net("control_flush")),
            ("push", net("requester_pop")),
            (
                "data",
                cat(["pad_left", "pad_right", "runs"]
                    .map(|name| field(&load_fields, "load_queue_data", name).any())
                    .into_iter()
                    .chain([net("load_queue_data")])),
            ),
            ("pop", net("writer_pop")),
        ],
    );
    let writer = load_writer::LoadWriter::new(config);
    let mut inputs = field_inputs(&writer, Engine::Load, "window_data");
    inputs.extend([
        ("valid", net("window_valid")),
        ("finish", net("load_pieces_finish")),
        ("none", net("load_pieces_idle")),
    ]);
    w.leaf(&writer, "writer", inputs);
    let pieces = pieces::Pieces::new(config);
    let of = |name: &str| field(&load_fields, "window_data", name);
    w.leaf(
        &pieces,
        "load_pieces",
        [
            ("clear", net("control_flush")),
            ("start", net("writer_pop")),
            ("buffer", of("buffer")),
            ("row", of("dst")),
            ("row_pitch", of("dst_pitch")),
            ("row_bytes", of("row_bytes")),
            ("pad_left", of("pad_left")),
            ("pad_right", of("pad_right")),
            ("any_left", id("window_data").at(load_width + 2)),
            ("any_right", id("window_data").at(load_width + 1)),
            ("any_runs", id("window_data").at(load_width)),
            ("run", of("src")),
            ("run_bytes", of("run_bytes")),
            ("runs", of("runs")),
            ("run_pitch", of("run_pitch")),
            ("ready", net("reads_load_word")),
        ],
    );
    let lane = size;
    w.inst(
        load_aligner::module(config),
        "aligner",
        [],
        &[],
        [
            ("write", net("load_pieces_pass")),
            ("buffer", net("writer_write_buffer")),
            ("address", net("load_pieces_address")),
            ("last", net("load_pieces_last")),
            ("lane", id("load_pieces_lane").range(lane - 1, 0)),
            ("padding", net("load_pieces_padding")),
            ("fill", net("writer_write_fill")),
            ("word", net("m_axi_rdata")),
        ],
    );
    unused(&mut w.body, "load_lane", "load_pieces_lane", 6, &[(0, lane)]);
    let held: Vec<(u32, u32)> = load_fields
        .iter()
        .filter(|(name, ..)| !name.starts_with("pop_") && *name != "push_prev")
        .map(|(_, l, w)| (*l, *w))
        .collect();
    unused(&mut w.body, "window", "window_data", load_width, &held);

    // Tokens.
    let compute_fields = fields(Engine::Compute).0;
    let store_fields = fields(Engine::Store).0;
    w.body.blank().comment("Dependence tokens.");
    for (name, push, pop, count) in [
        (
            "load_compute",
            "writer_push",
            "lister_pop_tokens",
            field(&compute_fields, "compute_queue_data", "pop_prev"),
        ),
        (
            "compute_load",
            "drained_push_prev",
            "requester_pop",
            field(&load_fields, "load_queue_data", "pop_next"),
        ),
        (
            "compute_store",
            "drained_push_next",
            "gatherer_pop",
            field(&store_fields, "store_queue_data", "pop_prev"),
        ),
        (
            "store_compute",
            "gatherer_push",
            "lister_pop_tokens",
            field(&compute_fields, "compute_queue_data", "pop_next"),
        ),
        ("store_load", "sender_push", "requester_pop", field(&load_fields, "load_queue_data", "pop_prev")),
    ] {
        w.leaf(
            &tokens::Tokens::new(config),
            name,
            [("clear", net("control_flush")), ("push", net(push)), ("pop", net(pop)), ("pop_count", count)],
        );
    }

    // Compute.
    w.body.blank().comment("Compute engine.");
    let lister = lister::Lister::new(config);
    let mut inputs = field_inputs(&lister, Engine::Compute, "compute_queue_data");
    let lister_module = leaf::module(&lister);
    let named = form_inputs(&lister_module, "compute_queue_data");
    inputs.extend(named.iter().map(|(port, e)| (port.as_str(), e.clone())));
    inputs.extend([
        ("clear", net("control_flush")),
        ("halt", net("control_halt")),
        ("valid", net("compute_queue_valid")),
        ("opcode", id("compute_queue_data").range(isa::OPCODE.width - 1, 0)),
        ("load_tokens", net("load_compute_count")),
        ("store_tokens", net("store_compute_count")),
        ("array_idle", net("feeder_array_idle")),
        ("take", net("feeder_take")),
    ]);
    w.leaf(&lister, "lister", inputs);
    w.inst(
        tile_table::module(),
        "table",
        [],
        &[],
        [
            ("write", net("lister_pixel_write")),
            ("write_index", cat([id("lister_tile_slot"), id("lister_pixel_row")])),
            ("write_in", net("lister_pixel_in")),
            ("write_out", net("lister_pixel_out")),
            ("write_second", net("lister_pixel_second")),
            ("feed_index", cat([id("feeder_slot"), id("feeder_row")])),
            ("drain_index", cat([id("tile_slot"), id("drain_row")])),
        ],
    );
    let feeder = feeder::Feeder::new(config);
    let mut inputs: Vec<(String, Expr)> = leaf::module(&feeder)
        .ports
        .iter()
        .filter_map(|p| p.name.strip_suffix("_i"))
        .filter(|n| n.starts_with("tile_"))
        .map(|n| (n.to_owned(), id(format!("lister_{n}"))))
        .collect();
    inputs.extend(
        [
            ("clear", net("control_flush")),
            ("ring", net("lister_conf_ring")),
            ("depth", net("lister_conf_depth")),
            ("pixel", net("table_feed_in")),
            ("drained", net("drained_complete")),
        ]
        .map(|(n, e)| (n.to_owned(), e)),
    );
    w.leaf(&feeder, "feeder", inputs.iter().map(|(n, e)| (n.as_str(), e.clone())));
    let tile = [
        ("tile_p_base", 16, "lister_tile_p_base"),
        ("tile_slot", 2, "lister_tile_slot"),
        ("tile_last", 1, "lister_tile_last"),
        ("tile_rows", 5, "lister_tile_rows"),
        ("tile_chunks", 8, "lister_tile_chunks"),
        ("tile_push_prev", 1, "lister_tile_push_prev"),
        ("tile_push_next", 1, "lister_tile_push_next"),
    ];
    let tile_bits: u32 = tile.iter().map(|(_, w, _)| w).sum();
    w.inst(
        queue::module(),
        "tiles",
        [("Width", Expr::from(tile_bits)), ("Depth", Expr::from(timing::TILE_SLOTS))],
        &[("data", tile_bits)],
        [
            ("clear", net("control_flush")),
            ("push", net("feeder_take")),
            ("data", cat(tile.map(|(_, _, e)| id(e)))),
            ("pop", net("drain_complete")),
        ],
    );
    for (name, width, _) in tile {
        w.top.logic(name, width);
    }
    w.body.assign(cat(tile.map(|(n, _, _)| id(n))), "tiles_data");
    w.body.logic("unused_tiles", 1);
    w.body.assign("unused_tiles", cat([id("tiles_valid"), id("tiles_full"), id("tiles_moving")]).parity());
    w.delay(
        "drain_start",
        timing::issue_to_drain(config, false),
        &[("drain_start", 1, net("feeder_op_end"))],
    );
    let late = timing::issue_to_drain(config, true) - timing::issue_to_drain(config, false);
    if late > 0 {
        w.delay("drain_late", late, &[("drain_late", 1, net("drain_start"))]);
    } else {
        w.wire("drain_late", 1, net("drain_start"));
    }
    w.leaf(
        &drain::Drain::new(config),
        "drain",
        [
            ("clear", net("control_flush")),
            ("start", mux("lister_conf_depth", net("drain_late"), net("drain_start"))),
            ("tile_last", net("tile_last")),
            ("tile_rows", net("tile_rows")),
            ("tile_chunks", net("tile_chunks")),
            ("tile_p_base", net("tile_p_base")),
            ("tile_push_prev", net("tile_push_prev")),
            ("tile_push_next", net("tile_push_next")),
            ("pixel", net("table_drain_out")),
            ("second", net("table_drain_second")),
        ],
    );
    w.delay(
        "drained",
        timing::drain_to_write(config),
        &[
            ("drained_complete", 1, net("drain_complete")),
            ("drained_push_prev", 1, net("drain_push_prev")),
            ("drained_push_next", 1, net("drain_push_next")),
            ("output_write", 1, net("drain_write")),
            ("output_address", 24, net("drain_write_address")),
        ],
    );

    // Buffers and array.
    w.body.blank().comment("Buffers and array.");
    let aligned = |buffer: u32| {
        [
            ("write", id("aligner_write").and(id("aligner_buffer").eq_(lit(2, buffer)))),
            ("write_address", net("aligner_address")),
            ("write_last", net("aligner_last")),
            ("write_data", net("aligner_data")),
        ]
        .into_iter()
    };
    let has_post = config.post;
    let second = [("second", id("second_read")), ("second_address", id("second_address"))];
    w.add(abuf::module(config));
    w.inst(
        activations::module(config, has_post),
        "buffers",
        [],
        &[],
        aligned(0)
            .chain([
                ("drain_write", net("output_write")),
                ("drain_address", net("output_address")),
                ("drain_data", net("outputs")),
                ("feed", net("feeder_read")),
                ("feed_address", net("feeder_read_address")),
                ("store_address", net("store_pieces_address")),
            ])
            .chain(second.into_iter().filter(|_| has_post)),
    );
    let weight_index = clog2_of(config.wbuf_words());
    w.delay(
        "feed",
        READ_LATENCY,
        &[
            ("word_read", 1, net("feeder_read")),
            ("word_row", 4, net("feeder_read_row")),
            ("word_inside", 1, net("feeder_inside")),
        ],
    );
    w.delay(
        "weight",
        ISSUE_TO_ARRAY - WBUF_LATENCY,
        &[("weight_address", weight_index, id("feeder_weight_address").range(weight_index - 1, 0))],
    );
    w.inst(
        wbuf::module(config),
        "wbuf",
        [("Cols", Expr::from(cols)), ("Words", Expr::from(config.wbuf_words()))],
        &[("operands", cols * operand)],
        aligned(1).chain([("read_address", id("weight_address"))]),
    );
    unused(&mut w.body, "weight_address", "feeder_weight_address", 20, &[(0, weight_index)]);
    w.delay(
        "operand",
        ISSUE_TO_ARRAY,
        &[
            ("op_valid", 1, net("feeder_operand")),
            ("op_last", 1, net("feeder_op_last")),
            ("op_clear", 1, net("feeder_fresh")),
        ],
    );
    let act = operand + 1;
    w.top.logic("acts", rows * act);
    let serializer = leaf_serializer(config);
    let serializer_name = serializer.name.clone();
    w.add(serializer);
    w.body.gen_for("r", 0, rows, "gen_row", |b| {
        b.inst(
            serializer_name,
            "u_serializer",
            [],
            [
                ("clk_i", id("clk_i")),
                ("rst_ni", id("rst_ni")),
                ("load_i", id("word_read").and(id("word_row").eq_(resize(4, id("r"))))),
                ("word_i", id("buffers_word")),
                ("x_signed_i", id("lister_conf_x_signed")),
                ("x_zero_i", id("lister_conf_x_zero")),
                ("operand_o", id("acts").part(id("r") * act, act)),
            ],
        );
    });
    let mut inputs = vec![
        ("clear", net("op_clear")),
        ("valid", net("op_valid")),
        ("last", net("op_last")),
        ("acts", net("acts")),
        ("read", net("drain_step")),
        ("row", net("drain_row")),
        ("chunk", net("drain_chunk")),
    ];
    inputs.extend(if config.by_channel { by_channel(&mut w, config) } else { dense_only(&mut w) });
    w.inst(
        array::module(config),
        "array",
        [("Rows", Expr::from(rows)), ("Cols", Expr::from(cols)), ("Lanes", Expr::from(lanes))],
        &[("sums", lanes * 32)],
        inputs,
    );

    // Requantisation.
    w.body.blank().comment("Requantisation.");
    let param_index = clog2_of(config.pbuf_words());
    w.delay(
        "param",
        timing::DRAIN_TO_REQUANT - PBUF_LATENCY,
        &[("param_address", param_index, id("drain_param_address").range(param_index - 1, 0))],
    );
    w.inst(pbuf::module(config), "pbuf", [], &[], aligned(2).chain([("read_address", id("param_address"))]));
    unused(&mut w.body, "param_address", "drain_param_address", 16, &[(0, param_index)]);
    w.top.logic("outputs", lanes * operand);
    w.delay("sums", timing::DRAIN_TO_REQUANT, &[("sums_valid", 1, net("drain_step"))]);
    let lane_module = leaf::module(&requant::Requant::default());
    let lane_name = lane_module.name.clone();
    w.add(lane_module);
    if has_post {
        post_units(&mut w, config);
    } else {
        w.body.unused(
            "second",
            ["drain_second_address", "lister_quant", "lister_post", "lister_table"].map(id),
        );
    }
    w.body.gen_for("k", 0, lanes, "gen_lane", |b| {
        b.logic("y", 17).logic("y_valid", 1);
        b.inst(
            lane_name,
            "u_requant",
            [],
            [
                ("clk_i", id("clk_i")),
                ("rst_ni", id("rst_ni")),
                ("valid_i", id("sums_valid")),
                ("acc_i", id("array_sums").part(id("k") * 32, 32)),
                ("bias_i", id("pbuf_word").part(id("k") * 64, 32)),
                ("multiplier_i", id("pbuf_word").part(id("k") * 64 + 32, 32)),
                ("zero_point_i", id("lister_conf_y_zero")),
                ("lo_i", id("lister_conf_y_min")),
                ("hi_i", id("lister_conf_y_max")),
                ("y_o", id("y")),
                ("valid_o", id("y_valid")),
            ],
        );
        let lane_output = id("outputs").part(id("k") * operand, operand);
        if has_post {
            let none: [(&str, Expr); 0] = [];
            b.inst("koch_post", "u_post", [], none);
            for (name, _) in post::SETTING {
                b.conn(format!("{name}_i"), id(format!("setup_conf_{name}")));
            }
            for (port, e) in [
                ("clk_i", id("clk_i")),
                ("rst_ni", id("rst_ni")),
                ("valid_i", id("y_valid")),
                ("requantised_i", id("y")),
                ("second_i", id("buffers_chunk").part(id("k") * operand, operand)),
                ("table_write_i", id("lister_table")),
                ("table_index_i", id("table_index")),
                ("table_data_i", id("table_entries")),
                ("operand_o", lane_output),
            ] {
                b.conn(port, e);
            }
        } else {
            b.assign(lane_output, id("y").range(operand - 1, 0));
            unused(b, "y", "y", 17, &[(0, operand)]);
            b.unused("y_valid", [id("y_valid")]);
        }
    });
    // Store.
    w.body.blank().comment("Store engine.");
    let gatherer = store_gatherer::StoreGatherer::new(config);
    let (_, store_width) = fields(Engine::Store);
    let mut inputs = field_inputs(&gatherer, Engine::Store, "store_queue_data");
    inputs.extend([
        ("clear", net("control_flush")),
        ("halt", net("control_halt")),
        ("valid", net("store_queue_valid")),
        ("tokens", net("compute_store_count")),
        ("burst_beats", net("store_runs_burst_beats")),
        ("burst_last", net("store_runs_burst_last")),
        ("word_over", net("store_pieces_word_over")),
        ("slots_full", net("sender_slots_full")),
    ]);
    w.leaf(&gatherer, "gatherer", inputs);
    let of = |name: &str| field(&store_fields, "store_queue_data", name);
    w.leaf(
        &pieces,
        "store_pieces",
        [
            ("clear", net("control_flush")),
            ("start", net("gatherer_pop")),
            ("buffer", lit(2, 0)),
            ("row", of("src")),
            ("row_pitch", of("seg_pitch")),
            ("row_bytes", of("seg_bytes")),
            ("pad_left", lit(20, 0)),
            ("pad_right", lit(20, 0)),
            ("any_left", lit(1, 0)),
            ("any_right", lit(1, 0)),
            ("any_runs", lit(1, 1)),
            ("run", of("dst")),
            ("run_bytes", of("run_bytes")),
            ("runs", of("runs")),
            ("run_pitch", of("run_pitch")),
            ("ready", net("gatherer_read")),
        ],
    );
    let mut inputs = field_inputs(&runs, Engine::Store, "store_queue_data");
    inputs.extend([
        ("start", net("gatherer_idle")),
        ("address", field(&store_fields, "store_queue_data", "dst")),
        ("prepare", net("gatherer_prepare")),
    ]);
    w.leaf(&runs, "store_runs", inputs);
    let held: Vec<(u32, u32)> = store_fields.iter().map(|(_, l, w)| (*l, *w)).collect();
    unused(&mut w.body, "store", "store_queue_data", store_width, &held);
    let held: Vec<(u32, u32)> = compute_fields
        .iter()
        .map(|(_, l, w)| (*l, *w))
        .chain([(isa::OPCODE.lsb, isa::OPCODE.width)])
        .collect();
    unused(&mut w.body, "compute", "compute_queue_data", fields(Engine::Compute).1, &held);
    let all: Vec<(u32, u32)> = [load_width, store_width, fields(Engine::Compute).1].map(|w| (0, w)).to_vec();
    unused(&mut w.body, "instruction", "buffer_instruction", INSTRUCTION_BYTES as u32 * 8, &all);
    let beat_bits = config.burst_beats.trailing_zeros();
    let offset = config.abuf_stride().trailing_zeros();
    w.inst(
        store_data::module(config),
        "data",
        [],
        &[],
        [
            ("read", net("gatherer_read")),
            ("offset", id("store_pieces_address").range(offset - 1, 0)),
            ("bytes", id("store_pieces_bytes").range(6, 0)),
            ("lane", net("store_pieces_lane")),
            ("first", net("gatherer_beat_first")),
            ("last", net("store_pieces_word_over")),
            ("slot", net("gatherer_slot")),
            ("beat", id("gatherer_beat").range(beat_bits - 1, 0)),
            ("send_slot", net("sender_slot")),
            ("send_beat", id("sender_beat").range(beat_bits - 1, 0)),
        ]
        .into_iter()
        .chain([("word", net("buffers_store"))]),
    );
    unused(&mut w.body, "gatherer_beat", "gatherer_beat", 6, &[(0, beat_bits)]);
    unused(&mut w.body, "store_bytes", "store_pieces_bytes", 8, &[(0, 7)]);
    let ends = ["pass", "padding", "last", "finish", "idle"].map(|n| id(format!("store_pieces_{n}")));
    w.body.unused("store_pieces", ends);
    w.body.unused("load_bytes", [id("load_pieces_bytes")]);
    unused(&mut w.body, "sender_beat", "sender_beat", 6, &[(0, beat_bits)]);
    w.delay("burst_ready", timing::GATHER_LATENCY - 1, &[("burst_ready", 1, net("gatherer_burst_done"))]);
    w.leaf(
        &store_sender::StoreSender::new(config),
        "sender",
        [
            ("clear", net("control_clear")),
            ("burst_done", net("gatherer_burst_done")),
            ("burst_tells", net("gatherer_burst_tells")),
            ("burst_address", net("store_runs_burst_address")),
            ("burst_beats", net("store_runs_burst_beats")),
            ("ready", net("burst_ready")),
            ("awready", net("m_axi_awready")),
            ("wready", net("m_axi_wready")),
            ("bvalid", net("m_axi_bvalid")),
            ("bfail", id("m_axi_bresp").at(1)),
        ],
    );
    for (port, e) in [
        ("awaddr", id("sender_awaddr")),
        ("awlen", id("sender_awlen")),
        ("awsize", lit(3, size)),
        ("awburst", lit(2, 1)),
        ("awcache", lit(4, 3)),
        ("awprot", lit(3, 0)),
        ("awvalid", id("sender_awvalid")),
        ("wdata", id("data_data")),
        ("wstrb", id("data_strobe")),
        ("wlast", id("sender_wlast")),
        ("wvalid", id("sender_wvalid")),
        ("bready", lit(1, 1)),
    ] {
        w.body.assign(format!("m_axi_{port}"), e);
    }
    w.body.logic("unused_axi", 1);
    w.body.assign(
        "unused_axi",
        cat([
            id("m_axi_rresp").at(0),
            id("m_axi_bresp").at(0),
            id("s_axil_wstrb"),
            id("s_axil_awprot"),
            id("s_axil_arprot"),
        ])
        .parity(),
    );

    // Counters.
    w.body.blank().comment("Counters: every cycle of a run is busy or idle for one cause.");
    let idle = w.wire("idle", 1, id("control_busy") & !id("feeder_active"));
    let input = |name: &str| -> Expr {
        let waiting = id("lister_empty") | "lister_wait_load" | "lister_wait_store";
        match name {
            "cycles" => id("control_busy"),
            "busy" => id("feeder_operand"),
            "idle_feed" => id("feeder_active") & !id("feeder_operand") & !id("feeder_stalled"),
            "idle_drain" => id("feeder_stalled"),
            "idle_load" => idle.clone() & "lister_wait_load",
            "idle_store" => idle.clone() & "lister_wait_store",
            "idle_setup" => idle.clone() & !waiting,
            "idle_fetch" => idle.clone() & "lister_empty" & !id("fetch_ended"),
            "idle_tail" => idle.clone() & "lister_empty" & "fetch_ended",
            "read_program" => id("reads_fetch_beat"),
            "read_input" => id("word_taken").and(id("writer_write_buffer").eq_(lit(2, 0))),
            "read_weight" => id("word_taken").and(id("writer_write_buffer").eq_(lit(2, 1))),
            "read_param" => id("word_taken").and(id("writer_write_buffer").eq_(lit(2, 2))),
            "written" => id("sender_sent"),
            _ => panic!("counter {name} counts nothing"),
        }
    };
    w.wire("word_taken", 1, id("reads_load_word") & "load_pieces_word_over");
    let inputs: Vec<(&str, Expr)> = Counters::ALL.iter().map(|(n, _)| (*n, input(n))).collect();
    w.inst(
        counters::module(),
        "counters",
        [("Bits", Expr::from(spec::regs::COUNTER_BITS)), ("BusBytes", Expr::from(config.bus_bytes()))],
        &[("count", spec::regs::COUNTER_BITS)],
        inputs.into_iter().chain([
            ("clear", net("control_clear")),
            ("index", net("regs_counter_index")),
            ("quant", net("lister_quant")),
            ("quant_layer", field(&compute_fields, "compute_queue_data", "layer")),
        ]),
    );

    let Wiring { mut top, body, mut modules } = w;
    top.blank();
    top.body.items.extend(body.items);
    modules.push(top);
    for m in &mut modules {
        m.note(format!("Config {}, {}.", config.name, config.hash()));
    }
    Design::new(modules)
}

/// The array's inputs that a reduction by channel has other values for, or needs.
fn by_channel(w: &mut Wiring, config: &Config) -> Vec<(&'static str, Expr)> {
    let (operand, cols, channels) = (config.operand_bits, config.cols, config.depth_channels());
    let act = operand + 1;
    w.add(columns::difference_module(config));
    let pair = id("buffers_word").part(0, channels.min(WORD) * operand);
    w.inst(
        columns::module(config),
        "columns",
        [("Channels", Expr::from(channels))],
        &[("operands", channels * act)],
        [
            ("enable", id("lister_conf_depth")),
            ("word", if channels > WORD { cat([id("buffers_next"), pair]) } else { pair }),
            ("inside", id("word_inside")),
            ("largest", id("lister_conf_largest")),
            ("x_signed", id("lister_conf_x_signed")),
            ("x_zero", id("lister_conf_x_zero")),
        ],
    );
    let one = cat([rep(operand - 1, lit(1, 0)), !id("lister_conf_largest")]);
    w.body.comment(
        "Without weights the sum is one of activations, or the largest, to which no product is added.",
    );
    let tops = w.wire("tops", cols * act, resize(cols * act, "columns_operands"));
    let weights = w.wire("weights", cols * operand, mux("lister_conf_ones", rep(cols, one), "wbuf_operands"));
    vec![
        ("depth", id("lister_conf_depth")),
        ("largest", id("lister_conf_largest")),
        ("tops", tops),
        ("weights", weights),
    ]
}

/// The same for an array that reduces over channels only.
fn dense_only(w: &mut Wiring) -> Vec<(&'static str, Expr)> {
    w.body.unused(
        "by_channel",
        ["word_inside", "lister_conf_depth", "lister_conf_ones", "lister_conf_largest"].map(id),
    );
    vec![("weights", id("wbuf_operands"))]
}

/// What the post lanes share: their setting, what a `table` instruction writes, and the read of second operands, whose
/// data meet the requantised outputs.
fn post_units(w: &mut Wiring, config: &Config) {
    for module in post::modules(config) {
        w.add(module);
    }
    let setup = post_setup::PostSetup::new(config);
    let fields = form_inputs(&leaf::module(&setup), "compute_queue_data");
    let strobes = [("clear", "control_flush"), ("quant", "lister_quant"), ("post", "lister_post")];
    let inputs: Vec<(&str, Expr)> = fields.iter().map(|(n, e)| (n.as_str(), e.clone())).collect();
    w.leaf(&setup, "setup", inputs.into_iter().chain(strobes.map(|(n, e)| (n, id(e)))));
    let field = |name: &str| {
        let f = isa::form("table").fields.iter().find(|f| f.name == name);
        f.map_or_else(|| panic!("no field {name}"), |f| slice("compute_queue_data", f.lsb, f.width))
    };
    w.wire("table_index", 4, field("index"));
    w.wire("table_entries", 128, cat(["d3", "d2", "d1", "d0"].map(field)));
    w.delay(
        "second",
        timing::DRAIN_TO_REQUANT + timing::REQUANT_LATENCY - timing::SECOND_LATENCY,
        &[
            ("second_read", 1, id("drain_write") & "setup_conf_used"),
            ("second_address", 24, id("drain_second_address")),
        ],
    );
}

fn leaf_serializer(config: &Config) -> Module {
    match config.operand_bits {
        8 => leaf::module(&serializer::Serializer8::new(config)),
        _ => leaf::module(&serializer::Serializer16::new(config)),
    }
}

fn axi_ports(m: &mut Module, bus: u32) {
    m.output("m_axi_araddr", 32)
        .output("m_axi_arlen", 8)
        .output("m_axi_arsize", 3)
        .output("m_axi_arburst", 2)
        .output("m_axi_arcache", 4)
        .output("m_axi_arprot", 3)
        .output("m_axi_arvalid", 1)
        .input("m_axi_arready", 1)
        .input("m_axi_rdata", bus)
        .input("m_axi_rresp", 2)
        .input("m_axi_rlast", 1)
        .input("m_axi_rvalid", 1)
        .output("m_axi_rready", 1)
        .output("m_axi_awaddr", 32)
        .output("m_axi_awlen", 8)
        .output("m_axi_awsize", 3)
        .output("m_axi_awburst", 2)
        .output("m_axi_awcache", 4)
        .output("m_axi_awprot", 3)
        .output("m_axi_awvalid", 1)
        .input("m_axi_awready", 1)
        .output("m_axi_wdata", bus)
        .output("m_axi_wstrb", bus / 8)
        .output("m_axi_wlast", 1)
        .output("m_axi_wvalid", 1)
        .input("m_axi_wready", 1)
        .input("m_axi_bresp", 2)
        .input("m_axi_bvalid", 1)
        .output("m_axi_bready", 1)
        .input("s_axil_awaddr", 8)
        .input("s_axil_awprot", 3)
        .input("s_axil_awvalid", 1)
        .output("s_axil_awready", 1)
        .input("s_axil_wdata", 32)
        .input("s_axil_wstrb", 4)
        .input("s_axil_wvalid", 1)
        .output("s_axil_wready", 1)
        .output("s_axil_bresp", 2)
        .output("s_axil_bvalid", 1)
        .input("s_axil_bready", 1)
        .input("s_axil_araddr", 8)
        .input("s_axil_arprot", 3)
        .input("s_axil_arvalid", 1)
        .output("s_axil_arready", 1)
        .output("s_axil_rdata", 32)
        .output("s_axil_rresp", 2)
        .output("s_axil_rvalid", 1)
        .input("s_axil_rready", 1)
        .output("irq_o", 1);
}
