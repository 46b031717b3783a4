//! Where the array's multipliers go. A placer spreads them over the part by what it knows before the rest is placed, and
//! everything else follows them: with 112 of an LFE5U-85F's 156, the paths between neighbours became 17 ns long. A
//! systolic array has a better place, known beforehand: neighbours beside each other.

use spec::Config;

/// Multipliers of a part in nextpnr's names, row by row of the part, from left to right, first the row with the most room
/// for what feeds the array; none of a part not known here.
fn sites(device: &str) -> Vec<Vec<String>> {
    if device != "85k" {
        return vec![];
    }
    // Blocks of four, in two runs beside the middle.
    let blocks = (0..7).map(|k| 4 + 9 * k).chain((0..6).map(|k| 69 + 9 * k));
    let columns: Vec<(u32, u32)> =
        blocks.flat_map(|x| [(0, 0), (1, 1), (4, 4), (5, 5)].map(|(dx, n)| (x + dx, n))).collect();
    [58, 34, 10].map(|y| columns.iter().map(|(x, n)| format!("X{x}/Y{y}/MULT18_{n}")).collect()).to_vec()
}

/// A site for the multiplier of each row and column of the array, if the part is known and has room. If whole rows of the
/// array fit into the part's, as many share one as do, a column's multipliers beside each other; where not all are full
/// it is the first, beside which the rest of the accelerator goes. Else whole columns lie beside each other, row by row of
/// the part, there and back.
pub fn multipliers(device: &str, config: &Config) -> Vec<((u32, u32), String)> {
    let sites = sites(device);
    let width = sites.first().map_or(0, Vec::len);
    let (rows, cols) = (config.rows as usize, config.cols as usize);
    let together = width / cols;
    let margin = (width - together * cols) / 2;
    let abreast = |r: usize, c: usize| {
        let row = rows.next_multiple_of(together) - rows + r;
        sites[row / together][margin + c * together + row % together].clone()
    };
    let columns = width / rows;
    let winding = |r: usize, c: usize| {
        let (row, at) = (c / columns, c % columns);
        let at = if row % 2 == 0 { at } else { columns - 1 - at };
        sites[row][at * rows + r].clone()
    };
    let place: &dyn Fn(usize, usize) -> String = if together * sites.len() >= rows {
        &abreast
    } else if columns * sites.len() >= cols {
        &winding
    } else {
        return vec![];
    };
    let grid = (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c)));
    grid.map(|(r, c)| ((r as u32, c as u32), place(r, c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use std::collections::BTreeSet;

    #[test]
    fn every_multiplier_has_a_site_of_its_own() {
        let mut config = Board::find("ulx3s-85f").expect("a board").config;
        for (rows, cols, first, last) in [
            (7, 16, "X13/Y58/MULT18_0", "X115/Y10/MULT18_1"),
            (4, 36, "X4/Y58/MULT18_0", "X92/Y10/MULT18_5"),
            (12, 13, "X4/Y58/MULT18_0", "X119/Y10/MULT18_5"),
        ] {
            (config.rows, config.cols) = (rows, cols);
            let placed = multipliers("85k", &config);
            assert_eq!(placed.len() as u64, config.peak());
            let sites: BTreeSet<&String> = placed.iter().map(|(_, site)| site).collect();
            assert_eq!(sites.len(), placed.len());
            assert_eq!(placed[0], ((0, 0), first.to_owned()));
            assert_eq!(placed[placed.len() - 1], ((rows - 1, cols - 1), last.to_owned()));
        }
    }

    #[test]
    fn an_unknown_part_or_too_large_an_array_is_left_to_the_placer() {
        let mut config = Board::find("ulx3s-85f").expect("a board").config;
        assert_eq!(multipliers("25k", &config), []);
        (config.rows, config.cols) = (4, 40);
        assert_eq!(multipliers("85k", &config), []);
    }
}
