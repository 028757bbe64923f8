//! How surfaces scatter light: glTF's metallic-roughness model (appendix B of glTF 2.0), a Lambertian body under a GGX
//! interface with Schlick's Fresnel term and Smith's height-correlated shadowing, and `KHR_materials_transmission`.
//!
//! Transmission is that of thin walls, as the extension has it where there is no volume: light goes through without being
//! bent, scattered by the roughness as in reflection, mirrored at the surface. A dielectric with an index of refraction
//! of 1 has no interface: its reflection at grazing angles is min(1, 50 f0), 1 for every real one.

#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN has to go the way of what is not so")]

use super::math::{INV_PI, V3, clamped, cross, dot, frame, larger, sin_cos, v3};
use super::surface::{Surface, schlick};

/// The part of light that goes a way, times the cosine at the surface, and the density with which [`Lobes::sample`] draws it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scattering {
    pub(super) part: V3,
    pub(super) density: f32,
}

/// A way that light may have come, drawn at random.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    /// Whence.
    pub(super) direction: V3,
    /// The part over the density.
    pub(super) weight: V3,
    pub(super) density: f32,
    /// Whether it was drawn as diffuse.
    pub(super) is_diffuse: bool,
}

const NOTHING: Scattering = Scattering { part: V3::ZERO, density: 0.0 };

/// How often each way of scattering is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lobes {
    diffuse: f32,
    mirror: f32,
    through: f32,
}

impl Lobes {
    /// None where nothing is scattered.
    #[inline(always)]
    pub(super) fn of(surface: &Surface) -> Option<Self> {
        let weight = schlick(dot(surface.out, surface.normal));
        let [d0, d90] = surface.dielectric;
        let enters = 1.0 - (d90 - d0).mul_add(weight, d0);
        let mirror = (V3::ONE * surface.f90 + -surface.f0).scaled_onto(weight, surface.f0).largest();
        let diffuse = surface.diffuse.largest() * enters;
        let through = surface.through.largest() * enters;
        let sum = mirror + diffuse + through;
        if !(sum > 0.0) {
            return None;
        }
        if sum == diffuse {
            return Some(Self { diffuse: 1.0, mirror: 0.0, through: 0.0 });
        }
        let scale = 1.0 / sum;
        Some(Self { diffuse: diffuse * scale, mirror: mirror * scale, through: through * scale })
    }

    /// The scattering from `direction` to where the surface is seen from.
    #[inline(always)]
    pub(super) fn scattering(&self, surface: &Surface, direction: V3) -> Scattering {
        let mut cosine = dot(surface.normal, direction);
        if dot(surface.flat, direction) > 0.0 {
            if !(cosine > 0.0) {
                return NOTHING;
            }
            let lambert = cosine * INV_PI;
            if !(surface.f90 > 0.0) {
                return Scattering { part: surface.diffuse * lambert, density: self.diffuse * lambert };
            }
            let facet = Facet::new(surface, direction, cosine);
            let fresnel = (V3::ONE * surface.f90 + -surface.f0).scaled_onto(facet.weight, surface.f0);
            let body = surface.diffuse * (lambert * facet.enters(surface));
            return Scattering {
                part: fresnel.scaled_onto(facet.shine, body),
                density: self.mirror.mul_add(facet.density, self.diffuse * lambert),
            };
        }
        cosine = -cosine;
        if !(self.through > 0.0 && cosine > 0.0) {
            return NOTHING;
        }
        let mirrored = surface.normal.scaled_onto(2.0 * cosine, direction);
        let facet = Facet::new(surface, mirrored, cosine);
        let part = surface.through * (facet.shine * facet.enters(surface));
        Scattering { part, density: self.through * facet.density }
    }

    /// Draws a direction by three random numbers; none where the surface would be entered from its wrong side.
    #[inline(always)]
    pub(super) fn sample(&self, surface: &Surface, [a, b, choice]: [f32; 3]) -> Option<Drawn> {
        let (tangent, bitangent) = frame(surface.normal);
        let (sine, cosine) = sin_cos(a);
        let is_diffuse = choice < self.diffuse;
        let direction;
        if is_diffuse {
            let radius = b.sqrt();
            let up = larger(1.0 - b, 0.0).sqrt();
            let level = tangent.scaled_onto(radius * cosine, bitangent * (radius * sine));
            direction = surface.normal.scaled_onto(up, level);
            if !(self.diffuse < 1.0) {
                let fits = up > 0.0 && dot(surface.flat, direction) > 0.0;
                let drawn = Drawn { direction, weight: surface.diffuse, density: up * INV_PI, is_diffuse };
                return if fits { Some(drawn) } else { None };
            }
        } else {
            // Visible normals, as points of the spherical cap that is seen (Dupuy and Benyoub, "Sampling Visible GGX
            // Normals with Spherical Caps", 2023).
            let out = v3(dot(surface.out, tangent), dot(surface.out, bitangent), dot(surface.out, surface.normal));
            let stretched = v3(out.x * surface.alpha, out.y * surface.alpha, out.z).normalized();
            let z = (1.0 - b).mul_add(1.0 + stretched.z, -stretched.z);
            let radius = clamped(z.mul_add(-z, 1.0), 0.0, 1.0).sqrt();
            let cap = v3(radius * cosine, radius * sine, z) + stretched;
            let facet = v3(cap.x * surface.alpha, cap.y * surface.alpha, larger(cap.z, 0.0)).normalized();
            let local = facet.scaled_onto(2.0 * dot(out, facet), -out);
            if !(local.z > 0.0) {
                return None; // between the facets, which the model does not follow
            }
            let up = if choice < self.diffuse + self.mirror { local.z } else { -local.z };
            let level = tangent.scaled_onto(local.x, bitangent * local.y);
            direction = surface.normal.scaled_onto(up, level).normalized();
        }
        let Scattering { part, density } = self.scattering(surface, direction);
        if !(density > 0.0) {
            return None;
        }
        Some(Drawn { direction, weight: part * (1.0 / density), density, is_diffuse })
    }
}

/// The microfacets that reflect from one direction to another.
struct Facet {
    /// Schlick's weight at them.
    weight: f32,
    /// What they reflect, less Fresnel's term, times the cosine at the surface.
    shine: f32,
    /// The density with which visible normals make this reflection.
    density: f32,
}

impl Facet {
    #[inline(always)]
    fn new(surface: &Surface, direction: V3, cosine: f32) -> Self {
        let half_way = (surface.out + direction).normalized();
        let weight = schlick(dot(surface.out, half_way));
        let a2 = surface.alpha * surface.alpha;
        let up = dot(surface.normal, half_way);
        let level = cross(surface.normal, half_way);
        // The sine is taken from the vector product, for one minus the cosine's square has no digits left near 0.
        let base = a2.mul_add(up * up, dot(level, level));
        let distribution = a2 * INV_PI / (base * base);
        let out = dot(surface.normal, surface.out);
        let spread = |c: f32| (1.0 - a2).mul_add(c * c, a2).sqrt();
        let (s_out, s_in) = (spread(out), spread(cosine));
        let shine = distribution * cosine * 0.5 / cosine.mul_add(s_out, out * s_in);
        let density = distribution * 0.5 / (out + s_out);
        Self { weight, shine, density }
    }

    /// What part goes past the dielectric interface, into the body.
    #[inline(always)]
    fn enters(&self, surface: &Surface) -> f32 {
        let [d0, d90] = surface.dielectric;
        1.0 - (d90 - d0).mul_add(self.weight, d0)
    }
}
