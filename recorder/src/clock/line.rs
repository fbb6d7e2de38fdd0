//! A line through few points that single wild ones do not bend.

use std::collections::VecDeque;

/// Points kept.
const MAX_POINTS: usize = 64;

/// The last 64 points, x ascending.
#[derive(Debug, Default)]
pub(super) struct Line {
    points: VecDeque<(i64, i64)>,
}

impl Line {
    pub(super) fn push(&mut self, x: i64, y: i64) {
        if self.points.len() >= MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back((x, y));
    }

    pub(super) fn last_x(&self) -> Option<i64> {
        self.points.back().map(|p| p.0)
    }

    /// The median of the slopes between all pairs (Theil and Sen); [`None`] below three points. Bears up to 29 % of
    /// wild points.
    pub(super) fn slope(&self) -> Option<f64> {
        if self.points.len() < 3 {
            return None;
        }
        let mut slopes = Vec::with_capacity(self.points.len() * (self.points.len() - 1) / 2);
        for (i, (x1, y1)) in self.points.iter().enumerate() {
            for (x2, y2) in self.points.iter().skip(i + 1) {
                let run = x2.saturating_sub(*x1);
                if run > 0 {
                    slopes.push(y2.saturating_sub(*y1) as f64 / run as f64);
                }
            }
        }
        let middle = slopes.len() / 2;
        if slopes.is_empty() {
            return None;
        }
        Some(*slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wild_point_does_not_bend_the_line() {
        let mut line = Line::default();
        for x in 0..20 {
            line.push(x * 1000, if x == 7 { 1_000_000 } else { x * 3 });
        }
        assert!(line.slope().is_some_and(|slope| (slope - 0.003).abs() < 1e-4));
    }

    #[test]
    fn points_on_one_spot_have_no_slope() {
        let mut line = Line::default();
        for _ in 0..5 {
            line.push(1, 1);
        }
        assert_eq!(line.slope(), None);
    }
}
