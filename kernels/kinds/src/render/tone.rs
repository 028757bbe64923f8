//! Radiance becomes display values.

use super::spec::Tone;

/// How light becomes what a display is sent.
#[derive(Clone, Copy, Debug)]
pub struct Display {
    gain: f32,
    tone: Tone,
}

impl Display {
    /// Multiplies by 2 to the power of `exposure` first.
    pub fn new(exposure: f32, tone: Tone) -> Self {
        Self { gain: exposure.exp2(), tone }
    }

    /// A display value from 0 to 1.
    pub fn value(&self, radiance: f32) -> f32 {
        let light = radiance * self.gain;
        encode(match self.tone {
            Tone::Srgb => light,
            Tone::Filmic => film(light),
        })
    }

    /// A display value as a whole number from 0 to `max`, rounded to the nearest.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65535.5")]
    pub fn level(&self, radiance: f32, max: u16) -> u16 {
        (self.value(radiance) * f32::from(max) + 0.5) as u16
    }
}

/// K. Narkowicz's rational fit of the ACES film curve, 2015.
fn film(light: f32) -> f32 {
    let light = if light > 0.0 { light.min(1e6) } else { 0.0 };
    light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
}

/// sRGB's transfer function (IEC 61966-2-1), clipped; NaN is black.
fn encode(light: f32) -> f32 {
    if light >= 1.0 {
        1.0
    } else if light > 0.003_130_8 {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    } else if light > 0.0 {
        12.92 * light
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_is_encoded_as_srgb() {
        let display = Display::new(0.0, Tone::Srgb);
        let cases = [(0.0, 0), (0.001, 3), (0.18, 118), (0.214, 127), (0.5, 188), (1.0, 255), (9.0, 255), (-1.0, 0)];
        for (light, level) in cases {
            assert_eq!(display.level(light, 255), level, "{light}");
        }
        assert_eq!(display.level(f32::NAN, 255), 0);
        assert_eq!(display.level(f32::INFINITY, 65_535), 65_535);
    }

    #[test]
    fn exposure_is_in_stops() {
        let (plain, brighter) = (Display::new(0.0, Tone::Srgb), Display::new(2.0, Tone::Srgb));
        assert_eq!(brighter.value(0.1), plain.value(0.4));
    }

    #[test]
    fn film_rolls_off_and_never_falls() {
        let display = Display::new(0.0, Tone::Filmic);
        let values: Vec<f32> = (0..2000_u16).map(|step| display.value(f32::from(step) * 0.01)).collect();
        assert!(values.is_sorted() && values[0] == 0.0 && values[100] < 1.0);
        assert!((film(1.0) - 0.8038).abs() < 1e-3);
        assert_eq!(display.value(f32::INFINITY), 1.0);
        assert_eq!(display.value(f32::NAN), 0.0);
    }
}
