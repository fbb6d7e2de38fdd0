//! East and north in metres to degrees.

/// A place on the WGS 84 ellipsoid around which the earth is taken as flat: good for some ten kilometres.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Semi-major axis, m, and first eccentricity squared of WGS 84.
const A: f64 = 6_378_137.0;
const E2: f64 = 6.694_379_990_14e-3;

impl Origin {
    /// Latitude and longitude, degrees, of a point so many metres east and north.
    #[must_use]
    pub fn degrees(&self, east: f64, north: f64) -> [f64; 2] {
        let phi = self.latitude.to_radians();
        let w = (1.0 - E2 * phi.sin().powi(2)).sqrt();
        let meridian = A * (1.0 - E2) / w.powi(3);
        let parallel = A / w * phi.cos();
        [self.latitude + (north / meridian).to_degrees(), self.longitude + (east / parallel).to_degrees()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_latitude_is_a_nautical_mile() {
        let origin = Origin { latitude: 45.0, longitude: 129.0 };
        let [latitude, longitude] = origin.degrees(0.0, 1852.0);
        assert!(((latitude - 45.0) * 60.0 - 1.0).abs() < 1e-3 && (longitude - 129.0).abs() < 1e-12);
    }
}
