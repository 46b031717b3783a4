//! Writes the Verilog of a named config: `emit CONFIG DIR`.
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let config = spec::Config::named(&args[1]).unwrap();
    let design = hdl::koch::design(&config);
    if let Err(errors) = design.check() {
        for e in errors {
            println!("{e}");
        }
    }
    hdl::tools::write(&design, std::path::Path::new(&args[2])).unwrap();
    if let Err(e) = hdl::tools::lint(&design, "koch") {
        println!("{e}");
    }
}
