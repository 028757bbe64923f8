//! The reference, compiled for CPUs that fuse multiply and add: the same operations, so the same bits, several times as fast.
#![allow(unsafe_code)] // calls a function compiled for a CPU that was asked for

use std::ops::Range;

use super::reference;
use super::scene::Scene;
use super::settings::Settings;
use super::trace::Cost;

/// The numbers of some pixels of an element, and what work they took.
pub(super) fn pixels(scene: &Scene, settings: &Settings, element: u32, pixels: Range<u32>) -> (Vec<f32>, Cost) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { fused(scene, settings, element, pixels) };
    }
    reference::pixels(scene, settings, element, pixels)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused(scene: &Scene, settings: &Settings, element: u32, pixels: Range<u32>) -> (Vec<f32>, Cost) {
    reference::pixels(scene, settings, element, pixels)
}

#[cfg(test)]
mod tests {
    use super::super::{Aovs, build, samples};
    use super::*;

    #[test]
    fn fusing_changes_no_bit() {
        let scene = Scene::parse(&build(&samples::every_feature()).expect("it can be built")).expect("it is a scene");
        let aovs = Aovs { albedo: true, normal: true, depth: true };
        let settings = Settings::new([48, 48], 2, 2, 6, 5, aovs).expect("in range");
        for element in 0..settings.elements() {
            let (plain, plain_cost) = reference::pixels(&scene, &settings, element, 0..256);
            let (got, cost) = pixels(&scene, &settings, element, 0..256);
            assert_eq!(cost, plain_cost);
            assert!(got.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits()), "element {element}");
        }
    }
}
