//! Layer tables: the shared ones load, and what is wrong is named with its line.

use std::path::{Path, PathBuf};

use compiler::layer_table::LayerTable;

fn shared(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/networks").join(file)
}

/// The tables' own sum of MACs, padding counted, and the layers that their operators make.
fn stated(file: &str) -> (u64, usize) {
    let mut reader = csv::Reader::from_path(shared(file)).unwrap();
    let head = reader.headers().unwrap().clone();
    let column = |name: &str| head.iter().position(|n| n == name).unwrap();
    let (op, macs) = (column("op"), column("MACs"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let layers = rows.iter().map(|row| match &row[op] {
        "Conv" | "Gemm" => 1,
        "GRU(bi,sum)" => 2,
        _ => 0,
    });
    (rows.iter().map(|row| row[macs].parse::<u64>().unwrap_or(0)).sum(), layers.sum())
}

#[test]
fn the_shared_tables_load() {
    for name in [
        "alexnet",
        "googlenet",
        "resnet50",
        "vgg16",
        "mobilenetv1",
        "mobilenetv2",
        "squeezenet",
        "ds2_gru800",
    ] {
        let file = format!("{name}.csv");
        let table = LayerTable::load(&shared(&file)).unwrap_or_else(|e| panic!("{e}"));
        let sum: u64 = table.layers.iter().map(|l| l.layer.padded_macs() * u64::from(l.count)).sum();
        assert_eq!((sum, table.layers.len()), stated(&file), "{file}");
        let runs: u32 = table.layers.iter().map(|l| l.count).sum();
        assert_eq!(table.shapes().iter().map(|(_, count)| count).sum::<u32>(), runs, "{file}");
        assert_eq!(table.name, name);
    }
    // ResNet-50 repeats its blocks.
    assert_eq!(LayerTable::load(&shared("resnet50.csv")).unwrap().shapes().len(), 24);
}

/// A recurrent layer: the input's half for all steps at once, the state's once a step, both twice if bidirectional.
#[test]
fn a_gru_is_two_products() {
    let text = "name,op,C_in,H_in,W_in,K,MACs\ng,\"GRU(bi,sum)\",8,,5,4,2880\nh,GRU(sum),8,,5,4,720\n";
    // Three gates of 4 x (8 + 4) weights, 5 steps, 2 directions.
    let macs = |directions: u64| 3 * 4 * (8 + 4) * 5 * directions;
    assert_eq!(macs(1), 720);
    let table = LayerTable::parse("t", &text.replace("2880", &macs(2).to_string())).unwrap();
    let found: Vec<_> =
        table.layers.iter().map(|l| (l.name.as_str(), l.layer.to_string(), l.count)).collect();
    assert_eq!(found[0], ("g.x", "fc in=8 out=12 batch=5".into(), 2));
    assert_eq!(found[1], ("g.h", "fc in=4 out=12".into(), 10));
    assert_eq!(found[2].2, 1);
    assert_eq!(found[3].2, 5);
}

/// Without padding columns, padding is what the sizes need, the larger half behind.
#[test]
fn padding_follows_from_sizes() {
    let head = "name,op,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,MACs";
    let table = LayerTable::parse("t", &format!("{head}\na,Conv,1,9,8,1,9,4,4,3,1,2,432\n")).unwrap();
    let l = table.layers[0].layer;
    assert_eq!((l.pt, l.pb, l.pl, l.pr), (1, 2, 0, 1));
    assert_eq!((l.out_h(), l.out_w()), (9, 4));
}

#[test]
fn what_is_wrong_is_named() {
    let head = "name,op,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,MACs\n";
    let row = |row: &str| format!("{head}ok,Gemm,4,,,4,,,,,,,16\n{row}\n");
    for (text, wanted) in [
        ("name,op\n".to_owned(), "no column `C_in`"),
        (head.to_owned(), "no row with MACs"),
        (row("a,Conv,1,9,9,1,9,9,x,3,1,1,729"), "line 3: R is `x`: a whole number"),
        (row("a,Conv,1,9,9,1,9,9,3,3,1,1,728"), "line 3: `a` has 728 MACs by the table, 729 by its sizes"),
        (row("a,Conv,1,9,9,1,9,9,300,3,1,1,1"), "line 3: `a`: layer: kh=300: 1 to 255 allowed"),
        (row("a,LSTM,1,9,9,1,9,9,3,3,1,1,7"), "line 3: operator `LSTM` has MACs"),
        (row("a,Gemm,4,,70000,4,,,,,,,16"), "line 3: `a`: layer: batch=70000"),
        (row("a,GRU,4000000000,,9,4000000000,,,,,,,16"), "line 3: `a`: layer: cin=4000000000"),
        (row("a,Gemm,4"), "found record with 3 fields"),
    ] {
        let e = LayerTable::parse("t", &text).unwrap_err().to_string();
        assert!(e.contains(wanted), "{wanted:?} wanted in {e:?}");
    }
}
