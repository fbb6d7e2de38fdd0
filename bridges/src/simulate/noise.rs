//! Randomness that is a function of its place: the same seed and indices give the same number in every run and in
//! every order. Knows no stream and no clock.

use std::f64::consts::TAU;

/// A source of numbers, one for each index.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    key: u64,
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Noise {
    /// The numbers that belong to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { key: mix(seed) }
    }

    /// An independent source, one for each `label`.
    #[must_use]
    pub fn named(self, label: &str) -> Self {
        let key = label.bytes().fold(self.key, |key, byte| mix(key ^ u64::from(byte)));
        Self { key }
    }

    /// An independent source, one for each `index`.
    #[must_use]
    pub const fn at(self, index: u64) -> Self {
        Self { key: mix(self.key ^ mix(index)) }
    }

    /// 64 random bits.
    #[must_use]
    pub const fn bits(self, index: u64) -> u64 {
        mix(self.key ^ index.wrapping_mul(0xd605_bbb5_8c8a_bbfd))
    }

    /// Uniform in `[0, 1)`.
    #[must_use]
    pub fn unit(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    #[must_use]
    pub fn between(self, index: u64, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit(index)
    }

    /// Mean 0, standard deviation 1, within ±3.5: a sum of four uniforms.
    #[must_use]
    pub fn gauss(self, index: u64) -> f64 {
        let bits = self.bits(index);
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        // Four uniforms on [0, 1) have mean 2 and variance 1/3.
        (sum as f64 / 65536.0 - 2.0) * 1.732_050_8
    }

    /// Slow, smooth wandering around 0 with standard deviation near 0.7 and periods from `period` seconds down.
    #[must_use]
    pub fn wander(self, index: u64, seconds: f64, period: f64) -> f64 {
        (0..3)
            .map(|i| {
                let rate = TAU / period * (1.0 + 0.77 * i as f64 + 0.3 * self.unit(index * 8 + i));
                let phase = TAU * self.unit(index * 8 + 4 + i);
                (rate * seconds + phase).sin() / (1.0 + i as f64)
            })
            .sum::<f64>()
            * 0.85
    }
}

/// Smooth noise on a grid that wraps around after `periods` cells in x and y, within `[0, 1]`.
#[must_use]
pub fn value_noise(noise: Noise, x: f64, y: f64, periods: [u64; 2]) -> f64 {
    let (x0, y0) = (x.floor(), y.floor());
    let corner = |i: i64, j: i64| {
        let wrap = |v: f64, d: i64, period: u64| (v as i64 + d).rem_euclid(period.cast_signed()).cast_unsigned();
        noise.unit(wrap(x0, i, periods[0]) * 65_537 + wrap(y0, j, periods[1]))
    };
    let ease = |t: f64| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (ease(x - x0), ease(y - y0));
    let lerp = |a: f64, b: f64, t: f64| a + (b - a) * t;
    lerp(lerp(corner(0, 0), corner(1, 0), fx), lerp(corner(0, 1), corner(1, 1), fx), fy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_seed_label_and_index_alone() {
        let a = Noise::new(1).named("imu").at(7);
        assert_eq!(a.bits(3), Noise::new(1).named("imu").at(7).bits(3));
        for other in [Noise::new(2).named("imu").at(7), Noise::new(1).named("lidar").at(7), Noise::new(1).at(7)] {
            assert_ne!(a.bits(3), other.bits(3));
        }
    }

    #[test]
    fn gauss_has_mean_0_and_deviation_1() {
        let noise = Noise::new(4);
        let values: Vec<f64> = (0..20_000).map(|i| noise.gauss(i)).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }

    #[test]
    fn value_noise_wraps_around() {
        let noise = Noise::new(9);
        for i in 0..50 {
            let (x, y) = (f64::from(i) * 0.37, f64::from(i) * 0.11);
            let (a, b) = (value_noise(noise, x, y, [16, 8]), value_noise(noise, x + 16.0, y - 8.0, [16, 8]));
            assert!((a - b).abs() < 1e-9 && (0.0..=1.0).contains(&a));
        }
    }
}
