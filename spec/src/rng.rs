//! The one source of randomness: seeded, portable, the same on every machine.

/// Advances `state` and returns the next 64 bits of SplitMix64 (Steele, Lea, Flood: "Fast splittable
/// pseudorandom number generators", 2014). Every seed is a good seed.
pub fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A value drawn evenly from `lo..=hi`; `lo` where the range is empty.
pub fn in_range(state: &mut u64, lo: i32, hi: i32) -> i32 {
    let span = (i64::from(hi) - i64::from(lo) + 1).max(1) as u64;
    // A 64-bit draw scaled by the span: the bias is below 2^-31.
    let offset = ((u128::from(splitmix64(state)) * u128::from(span)) >> 64) as i64;
    (i64::from(lo) + offset) as i32
}

/// A value drawn evenly from `0.0..1.0`, with 53 random bits.
pub fn unit(state: &mut u64) -> f64 {
    (splitmix64(state) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_the_published_sequence() {
        let mut state = 1234567;
        let got: Vec<u64> = (0..3).map(|_| splitmix64(&mut state)).collect();
        assert_eq!(got, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn ranges_are_closed_and_safe() {
        let mut state = 1;
        let draws: Vec<i32> = (0..1000).map(|_| in_range(&mut state, -2, 2)).collect();
        assert!((-2..=2).all(|v| draws.contains(&v)) && draws.iter().all(|v| (-2..=2).contains(v)));
        assert_eq!(in_range(&mut state, 7, 3), 7);
        in_range(&mut state, i32::MIN, i32::MAX);
        assert!((0..1000).map(|_| unit(&mut state)).all(|u| (0.0..1.0).contains(&u)));
    }
}
