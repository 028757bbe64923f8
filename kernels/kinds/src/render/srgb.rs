//! What the bytes of an sRGB image mean, exactly the same on every machine.

/// Linear values of the 256 bytes, from 0 to 1 (IEC 61966-2-1), each the nearest single to the true value.
pub(super) fn table() -> [f32; 256] {
    let mut table = [0.0; 256];
    for (byte, value) in (0..=255_u8).zip(&mut table) {
        *value = linear(f64::from(byte) / 255.0);
    }
    table
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
fn linear(encoded: f64) -> f32 {
    if encoded <= 0.04045 {
        return (encoded / 12.92) as f32;
    }
    // x^2.4 is the fifth root of x^12, found by Newton's method.
    let x = (encoded + 0.055) / 1.055;
    let x4 = (x * x) * (x * x);
    let power = x4 * x4 * x4;
    let mut root = x * x;
    for _ in 0..20 {
        let r4 = (root * root) * (root * root);
        root = (4.0 * root + power / r4) / 5.0;
    }
    root as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_standard() {
        let table = table();
        assert_eq!(table[0], 0.0);
        assert_eq!(table[255], 1.0);
        assert!(table.is_sorted());
        for (byte, value) in (0..=255_u8).zip(table) {
            let x = f64::from(byte) / 255.0;
            let exact = if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) };
            assert!((f64::from(value) - exact).abs() < 1e-7, "{byte}: {value} for {exact}");
        }
    }
}
