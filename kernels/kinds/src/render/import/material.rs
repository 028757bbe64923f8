//! Materials: metallic-roughness and the extensions that are rendered.

use super::error::{ImportError, finite, limit};
use super::json::{self, AlphaMode};
use super::texture::Textures;
use crate::render::model::{Alpha, Material};

const MATERIALS_MAX: usize = 65_536;

/// All materials of the file, in its order.
pub(super) fn materials(document: &json::Document, textures: &mut Textures<'_>) -> Result<Vec<Material>, ImportError> {
    limit("materials", "materials", document.materials.len(), MATERIALS_MAX)?;
    let one = |(index, material): (usize, &json::Material)| {
        let at = match &material.name {
            Some(name) => format!("materials[{index}] {name:?}"),
            None => format!("materials[{index}]"),
        };
        convert(material, textures, &at)
    };
    document.materials.iter().enumerate().map(one).collect()
}

fn convert(from: &json::Material, textures: &mut Textures<'_>, at: &str) -> Result<Material, ImportError> {
    let part = |value: f32| finite(value, at).map(|value| value.clamp(0.0, 1.0));
    let pbr = &from.pbr_metallic_roughness;
    let extensions = &from.extensions;
    let strength = finite(extensions.emissive_strength.as_ref().map_or(1.0, |e| e.emissive_strength), at)?.max(0.0);
    let mut emissive = [0.0; 3];
    for (to, factor) in emissive.iter_mut().zip(from.emissive_factor) {
        *to = finite(factor.max(0.0) * strength, at)?;
    }
    let mut base_color = [1.0; 4];
    for (to, factor) in base_color.iter_mut().zip(pbr.base_color_factor) {
        *to = part(factor)?;
    }
    let ior = finite(extensions.ior.as_ref().map_or(1.5, |ior| ior.ior), at)?;
    if !(1.0..=100.0).contains(&ior) {
        return Err(ImportError::invalid(at, format!("ior {ior}: from 1 to 100 are accepted")));
    }
    let transmission = extensions.transmission.as_ref();
    Ok(Material {
        base_color,
        base_color_texture: textures.used(pbr.base_color_texture.as_ref(), true, at)?,
        metallic: part(pbr.metallic_factor)?,
        roughness: part(pbr.roughness_factor)?,
        metallic_roughness_texture: textures.used(pbr.metallic_roughness_texture.as_ref(), false, at)?,
        normal_texture: textures.used(from.normal_texture.as_ref(), false, at)?,
        normal_scale: finite(from.normal_texture.as_ref().map_or(1.0, |info| info.scale), at)?,
        occlusion_texture: textures.used(from.occlusion_texture.as_ref(), false, at)?,
        occlusion_strength: part(from.occlusion_texture.as_ref().map_or(1.0, |info| info.strength))?,
        emissive,
        emissive_texture: textures.used(from.emissive_texture.as_ref(), true, at)?,
        alpha: match from.alpha_mode {
            AlphaMode::Opaque => Alpha::Opaque,
            AlphaMode::Mask => Alpha::Mask(finite(from.alpha_cutoff, at)?),
            AlphaMode::Blend => Alpha::Blend,
        },
        double_sided: from.double_sided,
        unlit: extensions.unlit.is_some(),
        transmission: part(transmission.map_or(0.0, |transmission| transmission.transmission_factor))?,
        transmission_texture: textures.used(transmission.and_then(|t| t.transmission_texture.as_ref()), false, at)?,
        ior,
    })
}
