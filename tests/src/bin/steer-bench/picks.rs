//! Which destination each connection got, and how far that is from the weights.

/// How long the windows are in which shares are looked at.
pub(crate) const WINDOW: usize = 100;

/// How often each destination was picked.
pub(crate) fn counts(picks: &[usize], weights: &[u32]) -> Vec<usize> {
    (0..weights.len())
        .map(|wanted| picks.iter().filter(|pick| **pick == wanted).count())
        .collect()
}

/// The largest distance of a destination's count from its exact share.
pub(crate) fn total_error(picks: &[usize], weights: &[u32]) -> f64 {
    distance(&counts(picks, weights), weights, picks.len())
}

/// The same within any `WINDOW` picks that follow each other.
pub(crate) fn window_error(picks: &[usize], weights: &[u32]) -> f64 {
    let mut inside = vec![0_usize; weights.len()];
    let mut worst = 0.0_f64;
    for (at, pick) in picks.iter().enumerate() {
        inside[*pick] += 1;
        if at + 1 < WINDOW {
            continue;
        }
        worst = worst.max(distance(&inside, weights, WINDOW));
        inside[picks[at + 1 - WINDOW]] -= 1;
    }
    worst
}

fn distance(counts: &[usize], weights: &[u32], all: usize) -> f64 {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let pairs = counts.iter().zip(weights);
    let distances = pairs.map(|(&count, &weight)| {
        // Multiplied by the sum, both are whole numbers: an exact split is exactly 0.
        let wanted = all as u64 * u64::from(weight);
        (count as u64 * sum).abs_diff(wanted) as f64 / sum as f64
    });
    distances.fold(0.0, f64::max)
}

/// After how many picks an exact split begins anew.
pub(crate) fn period(weights: &[u32]) -> u64 {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let common = weights
        .iter()
        .fold(0, |common, weight| gcd(common, u64::from(*weight)));
    sum / common.max(1)
}

/// The greatest common divisor.
pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What a client makes of the weights that picks at random for each connection (xorshift64*).
pub(crate) fn random(weights: &[u32], count: usize) -> Vec<usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let pick = |_| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let high = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        let mut left = (high * sum) >> 32;
        let mut chosen = 0;
        for (index, weight) in weights.iter().enumerate() {
            if left < u64::from(*weight) {
                chosen = index;
                break;
            }
            left -= u64::from(*weight);
        }
        chosen
    };
    (0..count).map(pick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_split_has_no_error_in_any_window() {
        let picks: Vec<usize> = (0..1000).map(|n| usize::from(n % 10 == 4)).collect();
        assert_eq!(counts(&picks, &[90, 10]), [900, 100]);
        assert!(total_error(&picks, &[90, 10]) < f64::EPSILON);
        assert!(window_error(&picks, &[90, 10]) < f64::EPSILON);
    }

    #[test]
    fn a_displaced_pick_shows_in_windows_but_not_in_the_total() {
        let mut picks: Vec<usize> = (0..1000).map(|n| usize::from(n % 10 == 4)).collect();
        picks.swap(4, 995);
        assert!(total_error(&picks, &[90, 10]) < f64::EPSILON);
        assert!((window_error(&picks, &[90, 10]) - 1.0).abs() < f64::EPSILON);
        picks[0] = 1;
        assert!((total_error(&picks, &[90, 10]) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn periods_are_of_reduced_weights() {
        assert_eq!(period(&[90, 10]), 10);
        assert_eq!(period(&[33, 33, 34]), 100);
        assert_eq!(period(&[3333, 6667]), 10_000);
        assert_eq!(period(&[1, 0, 3]), 4);
    }

    #[test]
    fn random_picks_heed_the_weights() {
        let picks = random(&[1, 0, 3], 40_000);
        let found = counts(&picks, &[1, 0, 3]);
        assert_eq!(found[1], 0);
        assert!(found[0].abs_diff(10_000) < 500, "{found:?}");
        assert!(total_error(&picks, &[1, 0, 3]) > 0.0);
    }
}
