//! The definition of kind `render`: what an element's numbers are.
//!
//! A path begins at the lens and goes from surface to surface. At each, a light is drawn at random and looked for, and the
//! way on is drawn by how the surface scatters; light that both could have found is weighted by the power heuristic.
//! Surfaces that light goes straight through, be it for their opacity or as clear glass, are passed or met at random and
//! do not count towards a path's length; on the way to a light they dim it by what they let through.

#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN has to go the way of what is not so")]

use std::ops::Range;

use super::fast;
use super::layout::{NONE, header};
use super::light::{self, Lit};
use super::math::{V3, dot, float, sin_cos, smaller, v3};
use super::rng::{self, Random};
use super::scatter::Lobes;
use super::scene::Scene;
use super::settings::{BLOCK, BLOCK_PIXELS, Element, Settings};
use super::surface::{self, Surface};
use super::trace::{Cost, Ray, meets_any, nearest};

/// Segments from which on paths end at random.
const ROULETTE_DEPTH: u32 = 3;
/// Surfaces in a row that light goes straight through.
const PASSES_MAX: u32 = 64;
/// Blocks of random numbers: 0 is the lens's, then each segment has one for the light that is looked for and one for the
/// way on. Places in the sky and passes have blocks of their own.
const SKY_BLOCK: u32 = 1 << 30;
const PASS_BLOCK: u32 = 1 << 31;

/// What one path saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    light: V3,
    albedo: V3,
    normal: V3,
    depth: f32,
}

/// The numbers of an element, as [`Settings::element_numbers`] lays them out.
///
/// # Panics
/// If there is no such element.
#[must_use]
pub fn render_element(scene: &Scene, settings: &Settings, element: u32) -> Vec<f32> {
    render_element_counting(scene, settings, element).0
}

/// The numbers of an element, and what work they took.
///
/// # Panics
/// If there is no such element.
#[must_use]
pub fn render_element_counting(scene: &Scene, settings: &Settings, element: u32) -> (Vec<f32>, Cost) {
    fast::pixels(scene, settings, element, 0..BLOCK_PIXELS)
}

/// The numbers of one pixel of an element, which is the `pixel`th of its block, row by row.
///
/// # Panics
/// If there is no such element or pixel.
#[must_use]
pub fn render_pixel(scene: &Scene, settings: &Settings, element: u32, pixel: u32) -> Vec<f32> {
    assert!(pixel < BLOCK_PIXELS, "pixel {pixel} of a block");
    fast::pixels(scene, settings, element, pixel..pixel + 1).0
}

/// The numbers of some pixels of an element, and what work they took.
#[inline(always)]
pub(super) fn pixels(scene: &Scene, settings: &Settings, element: u32, pixels: Range<u32>) -> (Vec<f32>, Cost) {
    let element = settings.element(element);
    let mut cost = Cost::default();
    let mut numbers = Vec::with_capacity(settings.element_numbers());
    for pixel in pixels {
        numbers.extend(pixel_sums(scene, settings, &element, pixel, &mut cost));
    }
    (numbers, cost)
}

#[inline(always)]
fn pixel_sums(scene: &Scene, settings: &Settings, element: &Element, pixel: u32, cost: &mut Cost) -> Vec<f32> {
    let [width, height] = settings.size();
    let (x, y) = (element.origin[0] + pixel % BLOCK, element.origin[1] + pixel / BLOCK);
    let mut sum = Seen::default();
    if x < width && y < height {
        for sample in element.first_sample..element.first_sample + element.samples {
            let random = Random { pixel: y * width + x, sample, seed: settings.seed() };
            let seen = path(scene, settings, random, camera_ray(scene, settings, random, [x, y]), cost);
            sum.light = sum.light + finite(seen.light);
            sum.albedo = sum.albedo + finite(seen.albedo);
            sum.normal = sum.normal + finite(seen.normal);
            sum.depth += finite(v3(seen.depth, 0.0, 0.0)).x;
        }
    }
    let aovs = settings.aovs();
    let three = |v: V3| [v.x, v.y, v.z];
    let mut numbers = Vec::with_capacity(aovs.channels());
    numbers.extend(three(sum.light));
    if aovs.albedo {
        numbers.extend(three(sum.albedo));
    }
    if aovs.normal {
        numbers.extend(three(sum.normal));
    }
    if aovs.depth {
        numbers.push(sum.depth);
    }
    numbers
}

/// The vector, or zero if one of its numbers is infinite or none at all.
#[inline(always)]
fn finite(v: V3) -> V3 {
    let fits = v.x.abs() <= f32::MAX && v.y.abs() <= f32::MAX && v.z.abs() <= f32::MAX;
    if fits { v } else { V3::ZERO }
}

/// A ray through a random place of the pixel and of the lens.
#[inline(always)]
fn camera_ray(scene: &Scene, settings: &Settings, random: Random, [x, y]: [u32; 2]) -> Ray {
    let [width, height] = settings.size();
    let [jx, jy, a, b] = random.block(0);
    let pixel = 2.0 * scene.number(header::TAN_HALF_FOV) / float(height);
    let across = (float(x) + jx - float(width) * 0.5) * pixel;
    let down = (float(y) + jy - float(height) * 0.5) * pixel;
    let (right, up) = (scene.three(header::RIGHT), scene.three(header::UP));
    let mut direction = up.scaled_onto(-down, right.scaled_onto(across, scene.three(header::FORWARD)));
    let mut origin = scene.three(header::POSITION);
    let aperture = scene.number(header::APERTURE);
    if aperture > 0.0 {
        let (sine, cosine) = sin_cos(a);
        let radius = b.sqrt() * aperture;
        let lens = up.scaled_onto(radius * sine, right * (radius * cosine));
        direction = direction.scaled_onto(scene.number(header::FOCUS), -lens);
        origin = origin + lens;
    }
    Ray { origin, direction: direction.normalized() }
}

/// A place a little off a surface, on the side to which `direction` leads.
#[inline(always)]
fn off(scene: &Scene, position: V3, flat: V3, direction: V3) -> V3 {
    let offset = scene.number(header::OFFSET);
    let offset = if dot(flat, direction) < 0.0 { -offset } else { offset };
    flat.scaled_onto(offset, position)
}

/// What comes along a path.
#[inline(always)]
fn path(scene: &Scene, settings: &Settings, random: Random, mut ray: Ray, cost: &mut Cost) -> Seen {
    let mut seen = Seen::default();
    let mut throughput = V3::ONE;
    // What part of the light that reached the surface before from another surface counts there.
    let mut access = 1.0;
    // With what density the ray was drawn; 0 if nothing else could have found what it finds.
    let mut density = 0.0;
    let (mut depth, mut passes, mut travelled) = (1, 0, 0.0);
    let mut is_first = true;
    loop {
        let hit = nearest(scene, &ray, f32::MAX, cost);
        if hit.slot == NONE {
            let (radiance, other) = light::sky(scene, ray.direction);
            let weight = if density > 0.0 { light::weight(density, other) } else { 1.0 };
            seen.light = (throughput * radiance).scaled_onto(weight, seen.light);
            return seen;
        }
        let surface = surface::at(scene, &ray, hit);
        cost.surfaces += 1;
        cost.textured += u64::from(surface.textured);
        travelled += hit.distance;
        let passing = smaller(surface.straight.largest(), 1.0);
        if passing > 0.0 {
            if random.block(PASS_BLOCK + passes)[0] < passing {
                passes += 1;
                if passes == PASSES_MAX {
                    return seen;
                }
                throughput = throughput * surface.straight * (1.0 / passing);
                ray.origin = off(scene, surface.position, surface.flat, ray.direction);
                continue;
            }
            throughput = throughput * (surface.opacity / (1.0 - passing));
        }
        if is_first {
            is_first = false;
            seen.albedo = surface.color;
            seen.normal = surface.normal;
            seen.depth = dot(surface.position - scene.three(header::POSITION), scene.three(header::FORWARD));
        }
        if surface.emission.largest() > 0.0 {
            let mut weight = 1.0;
            if density > 0.0 {
                let cosine = dot(surface.flat, surface.out);
                let other = light::density_of(scene, hit.slot, travelled * travelled, cosine);
                weight = light::weight(density, other);
            }
            seen.light = (throughput * surface.emission).scaled_onto(weight, seen.light);
        }
        if surface.unlit || depth == settings.max_depth() {
            return seen;
        }
        let Some(lobes) = Lobes::of(&surface) else { return seen };
        cost.bounces += 1;
        cost.glossy += u64::from(surface.f90 > 0.0);
        throughput = throughput * access;
        let block = 2 * depth - 1;
        if scene.emitter_count > 0 {
            let found = lit(scene, random, block, &surface, &lobes, cost);
            seen.light = seen.light + throughput * found;
        }
        let [a, b, choice, survival] = random.block(block + 1);
        let Some(drawn) = lobes.sample(&surface, [a, b, choice]) else { return seen };
        throughput = throughput * drawn.weight;
        if depth >= ROULETTE_DEPTH {
            let stays = smaller(throughput.largest(), 0.95);
            if !(survival < stays) {
                return seen;
            }
            throughput = throughput * (1.0 / stays);
        }
        access = if drawn.is_diffuse { surface.access } else { 1.0 };
        density = drawn.density;
        ray = Ray { origin: off(scene, surface.position, surface.flat, drawn.direction), direction: drawn.direction };
        (travelled, depth) = (0.0, depth + 1);
    }
}

/// What a surface scatters of the light of an emitter that is drawn at random.
#[inline(always)]
fn lit(scene: &Scene, random: Random, block: u32, surface: &Surface, lobes: &Lobes, cost: &mut Cost) -> V3 {
    let words = |block: u32| rng::pcg4d(random.pixel, random.sample, block, random.seed);
    let Some(lit) = light::sample(scene, surface.position, words(block), || words(SKY_BLOCK + block)) else {
        return V3::ZERO;
    };
    let scattering = lobes.scattering(surface, lit.direction);
    let mut part = scattering.part * lit.radiance;
    if !(part.largest() > 0.0) {
        return V3::ZERO;
    }
    let other = if lit.can_be_hit { scattering.density } else { 0.0 };
    part = part * light::weight_over(lit.density, other);
    let origin = off(scene, surface.position, surface.flat, lit.direction);
    if !scene.see_through {
        let (direction, limit) = if lit.is_far { (lit.direction, f32::MAX) } else { (lit.place - origin, 1.0) };
        let is_dark = meets_any(scene, &Ray { origin, direction }, limit, cost);
        return if is_dark { V3::ZERO } else { part };
    }
    part * let_through(scene, origin, &lit, cost)
}

/// What part of a light is let through on the way to it.
#[inline(always)]
fn let_through(scene: &Scene, mut origin: V3, lit: &Lit, cost: &mut Cost) -> V3 {
    let mut part = V3::ONE;
    for _ in 0..PASSES_MAX {
        let (mut direction, mut limit) = (lit.direction, f32::MAX);
        if !lit.is_far {
            let way = lit.place - origin;
            limit = dot(way, way).sqrt();
            direction = way * (1.0 / limit);
        }
        let ray = Ray { origin, direction };
        let hit = nearest(scene, &ray, limit, cost);
        if hit.slot == NONE {
            return part;
        }
        let surface = surface::at(scene, &ray, hit);
        cost.surfaces += 1;
        cost.textured += u64::from(surface.textured);
        part = part * surface.straight;
        if !(part.largest() > 0.0) {
            return V3::ZERO;
        }
        origin = off(scene, surface.position, surface.flat, direction);
    }
    V3::ZERO
}

#[cfg(test)]
mod tests {
    use super::super::model::{Camera, Environment, Light, LightKind, Material, Model, Triangle, Vertex};
    use super::super::samples;
    use super::super::{Aovs, build};
    use super::*;

    fn scene(model: &Model) -> Scene {
        Scene::parse(&build(model).expect("the model can be built")).expect("what was built is a scene")
    }

    /// The mean of each channel over the picture.
    fn mean(scene: &Scene, settings: &Settings) -> Vec<f64> {
        let channels = settings.aovs().channels();
        let [width, height] = settings.size();
        let mut sums = vec![0.0; channels];
        for element in 0..settings.elements() {
            for (at, number) in render_element(scene, settings, element).into_iter().enumerate() {
                sums[at % channels] += f64::from(number);
            }
        }
        let samples = f64::from(width) * f64::from(height) * f64::from(settings.samples());
        sums.iter().map(|sum| sum / samples).collect()
    }

    fn settings(side: u32, samples: u32, max_depth: u32) -> Settings {
        Settings::new([side, side], samples, samples, max_depth, 1, Aovs::default()).expect("in range")
    }

    #[test]
    fn the_cornell_box_is_as_bright_as_mitsubas() {
        // Mitsuba 3.9.1, 256 x 256, box filter, 1024 samples a pixel. Few samples here, so a wide tolerance.
        let mean = mean(&scene(&samples::cornell_box()), &settings(64, 16, 8));
        for (got, expected) in mean.iter().zip([0.240_14, 0.141_11, 0.059_97]) {
            assert!((got / expected - 1.0).abs() < 0.02, "{got} for {expected}");
        }
    }

    /// One large triangle that fills the picture, facing the camera, in a world of light.
    fn furnace(material: Material) -> Model {
        let vertex = |x: f32, y: f32| Vertex {
            position: [x, y, 0.0],
            normal: [0.0, 0.0, 1.0],
            color: [1.0; 4],
            ..Vertex::default()
        };
        Model {
            triangles: vec![Triangle {
                vertices: [vertex(-50.0, -50.0), vertex(50.0, -50.0), vertex(0.0, 80.0)],
                material: 0,
            }],
            materials: vec![Material { double_sided: true, ..material }],
            environment: Environment { constant: [1.0; 3], ..Environment::default() },
            camera: Camera {
                position: [0.0, 0.0, 3.0],
                right: [1.0, 0.0, 0.0],
                up: [0.0, 1.0, 0.0],
                forward: [0.0, 0.0, -1.0],
                tan_half_fov: 1.0,
                aperture: 0.0,
                focus: 1.0,
            },
            ..Model::default()
        }
    }

    #[test]
    fn white_surfaces_in_a_white_world_stay_white() {
        let white = |metallic: f32, roughness: f32, ior: f32, transmission: f32| {
            let material = Material { metallic, roughness, ior, transmission, ..Material::default() };
            mean(&scene(&furnace(material)), &settings(16, 256, 2))[0]
        };
        assert!((white(0.0, 1.0, 1.0, 0.0) - 1.0).abs() < 1e-5, "a matt one exactly");
        // What microfacets shadow is lost to the model, so rough metal is dim: these are its integrals, worked out apart.
        for (roughness, least, most) in [(0.0, 0.995, 1.002), (0.3, 0.97, 1.0), (0.7, 0.68, 0.71), (1.0, 0.32, 0.45)] {
            let metal = white(1.0, roughness, 1.5, 0.0);
            assert!(metal > least && metal < most, "metal of roughness {roughness}: {metal}");
            let glass = white(0.0, roughness, 1.5, 1.0);
            assert!(glass > least && glass < most + 0.01, "glass of roughness {roughness}: {glass}");
            let plastic = white(0.0, roughness, 1.5, 0.0);
            assert!(plastic > 0.85 && plastic < 1.005, "plastic of roughness {roughness}: {plastic}");
        }
    }

    #[test]
    fn light_found_by_lamps_and_by_scattering_adds_up() {
        // A constant sky is only found by scattering, the same sky as a picture by both: the means must agree.
        let material =
            Material { metallic: 0.3, roughness: 0.4, base_color: [0.8, 0.6, 0.4, 1.0], ..Material::default() };
        let constant = furnace(material);
        let mut picture = constant.clone();
        picture.environment = Environment { width: 8, height: 4, rgb: vec![1.0; 96], ..Environment::default() };
        let (a, b) = (mean(&scene(&constant), &settings(16, 256, 3)), mean(&scene(&picture), &settings(16, 256, 3)));
        for (a, b) in a.iter().zip(&b) {
            assert!((a / b - 1.0).abs() < 0.004, "{a} and {b}");
        }
    }

    #[test]
    fn a_directional_light_lights_a_matt_surface_by_its_cosine() {
        let mut model = furnace(Material { metallic: 0.0, ior: 1.0, base_color: [0.5; 4], ..Material::default() });
        model.environment.constant = [0.0; 3];
        model.lights =
            vec![Light { kind: LightKind::Directional { direction: [0.0, -0.6, -0.8] }, intensity: [2.0; 3] }];
        let got = mean(&scene(&model), &settings(16, 1, 2))[0];
        let expected = 2.0 * 0.8 * 0.5 / std::f64::consts::PI;
        assert!((got / expected - 1.0).abs() < 1e-5, "{got} for {expected}");
    }

    #[test]
    fn elements_are_sums_in_passes_and_pixels_are_parts_of_them() {
        let scene = scene(&samples::every_feature());
        let aovs = Aovs { albedo: true, normal: true, depth: true };
        let settings = Settings::new([20, 18], 3, 2, 4, 7, aovs).expect("in range");
        assert_eq!(settings.elements(), 8);
        let (numbers, cost) = render_element_counting(&scene, &settings, 1);
        assert_eq!(numbers.len(), settings.element_numbers());
        assert_eq!(render_element_counting(&scene, &settings, 1), (numbers.clone(), cost));
        assert!(cost.nodes > 0 && cost.groups > 0 && cost.surfaces > 0);
        for pixel in [0, 3, 17, 255] {
            let sums = render_pixel(&scene, &settings, 1, pixel);
            assert_eq!(sums, numbers[pixel as usize * 10..][..10]);
        }
        // The second block begins in column 16: its fifth column lies beyond the picture.
        assert!(numbers[..40].iter().any(|x| *x != 0.0));
        assert!(numbers[40..160].iter().all(|x| *x == 0.0));
    }

    #[test]
    fn every_number_is_finite_with_every_feature() {
        let scene = scene(&samples::every_feature());
        let aovs = Aovs { albedo: true, normal: true, depth: true };
        let settings = Settings::new([64, 64], 2, 2, 6, 3, aovs).expect("in range");
        let mut light = 0.0_f64;
        for element in 0..settings.elements() {
            for sums in render_element(&scene, &settings, element).chunks(10) {
                assert!(sums.iter().all(|x| x.is_finite()) && sums[..3].iter().all(|x| *x >= 0.0));
                light += f64::from(sums[1]);
            }
        }
        assert!(light > 100.0);
    }
}
