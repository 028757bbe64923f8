//! Builds the scene blob of a model. The same model gives the same bytes on every machine: one thread, no hash order, no
//! function of the platform's libm.

use super::bvh::{self, Bounds, Child};
use super::layout::{self, emitter, header, material};
use super::model::{Alpha, Camera, Environment, Light, LightKind, Material, Model, TextureUse, Triangle, Vertex, Wrap};
use super::scene::{Scene, SceneError};
use super::srgb;

/// Most words of a blob: 4 GiB.
const WORDS_MAX: u64 = 1 << 30;
/// Places beyond this are refused, in metres.
const EXTENT_MAX: f32 = 1e9;

/// Why a model cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A number that is not finite or out of its range.
    #[error("{what} {at} has a number that is not finite or too large")]
    Number {
        /// What has it.
        what: &'static str,
        /// Which of them.
        at: usize,
    },
    /// A reference to nothing.
    #[error("{what} {at} refers to something that does not exist")]
    Reference {
        /// What refers.
        what: &'static str,
        /// Which of them.
        at: usize,
    },
    /// An image whose bytes do not match its sides, or with a side of 0 or too long.
    #[error("{what} {at} has wrong sides")]
    Sides {
        /// Which kind of image.
        what: &'static str,
        /// Which of them.
        at: usize,
    },
    /// More than a blob can hold.
    #[error("the scene would take {0} words, at most {WORDS_MAX} are allowed")]
    TooLarge(u64),
    /// What was built is no scene.
    #[error("the built scene is refused")]
    Refused(#[from] SceneError),
}

/// The scene blob of `model`.
///
/// # Errors
/// The first thing that cannot be rendered.
pub fn build(model: &Model) -> Result<Vec<u8>, BuildError> {
    check(model)?;
    let extent = extent(model);
    let prepared: Vec<Option<Prepared>> = model
        .triangles
        .iter()
        .map(|t| Prepared::new(t, model.materials[t.material as usize].double_sided, extent))
        .collect();
    let boxes: Vec<Bounds> = prepared.iter().map(|p| p.as_ref().map_or(Bounds::EMPTY, |p| p.bounds)).collect();
    let given: Vec<u32> = (0..).zip(&prepared).filter(|(_, prepared)| prepared.is_some()).map(|(at, _)| at).collect();
    let tree = bvh::build(&boxes, &given);

    let mut slots = vec![layout::NONE; tree.groups.len() * 8];
    for (group, members) in tree.groups.iter().enumerate() {
        slots[group * 8..group * 8 + members.len()].copy_from_slice(members);
    }
    let sky = SkyTable::new(&model.environment);
    let emitters = Emitters::new(model, &slots, &sky, extent);
    let shading = Shading::new(model, &slots, &emitters);

    let mut blob = Blob::new(model, extent);
    blob.section(header::NODES, Some(header::NODE_COUNT), layout::NODE_WORDS, nodes(&tree));
    blob.section(header::GROUPS, Some(header::GROUP_COUNT), layout::GROUP_WORDS, groups(&tree, &prepared));
    blob.section(header::SHADES, None, 1, shading.shades);
    blob.section(header::ATTRIBUTES, Some(header::ATTRIBUTE_WORDS), 1, shading.attributes);
    let materials = model.materials.iter().flat_map(material_words).collect();
    blob.section(header::MATERIALS, Some(header::MATERIAL_COUNT), material::LENGTH, materials);
    let (textures, texels) = textures(model);
    blob.section(header::TEXTURES, Some(header::TEXTURE_COUNT), layout::TEXTURE_WORDS, textures);
    blob.section(header::TEXELS, Some(header::TEXEL_COUNT), 1, texels);
    blob.section(header::EMITTERS, Some(header::EMITTER_COUNT), emitter::LENGTH, emitters.words());
    blob.put(header::SKY_CHANCE, emitters.sky_chance);
    blob.section(header::SKY, None, 1, bits(&model.environment.rgb));
    blob.section(header::SKY_TABLE, None, 1, sky.words);
    blob.section(header::SRGB, None, 1, srgb::table().iter().map(|x| x.to_bits()).collect());
    let bytes = blob.bytes()?;
    Scene::parse(&bytes)?;
    Ok(bytes)
}

fn check(model: &Model) -> Result<(), BuildError> {
    let finite = |what, at, numbers: &[f32]| {
        let fits = numbers.iter().all(|x| x.abs() <= EXTENT_MAX);
        if fits { Ok(()) } else { Err(BuildError::Number { what, at }) }
    };
    for (at, triangle) in model.triangles.iter().enumerate() {
        for Vertex { position, normal, tangent, uv, color } in &triangle.vertices {
            finite("triangle", at, position)?;
            finite("triangle", at, normal)?;
            finite("triangle", at, tangent)?;
            finite("triangle", at, uv.as_flattened())?;
            finite("triangle", at, color)?;
        }
        if triangle.material as usize >= model.materials.len() {
            return Err(BuildError::Reference { what: "triangle", at });
        }
    }
    for (at, m) in model.materials.iter().enumerate() {
        finite("material", at, &m.base_color)?;
        finite("material", at, &m.emissive)?;
        finite(
            "material",
            at,
            &[m.metallic, m.roughness, m.normal_scale, m.occlusion_strength, m.transmission, m.ior],
        )?;
        for usage in uses(m).into_iter().flatten() {
            finite("material", at, usage.transform.as_flattened())?;
            if usage.texture as usize >= model.textures.len() || usage.set > 1 {
                return Err(BuildError::Reference { what: "material", at });
            }
        }
    }
    let sides = 1..=layout::SIDE_MAX;
    for (at, texture) in model.textures.iter().enumerate() {
        let expected = u64::from(texture.width) * u64::from(texture.height) * 4;
        let fits = sides.contains(&texture.width) && sides.contains(&texture.height);
        if !fits || texture.rgba.len() as u64 != expected {
            return Err(BuildError::Sides { what: "texture", at });
        }
    }
    for (at, light) in model.lights.iter().enumerate() {
        finite("light", at, &light.intensity)?;
        match light.kind {
            LightKind::Directional { direction } => finite("light", at, &direction)?,
            LightKind::Point { position, range } => {
                finite("light", at, &position)?;
                finite("light", at, &[range.unwrap_or(1.0)])?;
            }
            LightKind::Spot { position, direction, cosines, range } => {
                finite("light", at, &position)?;
                finite("light", at, &direction)?;
                finite("light", at, &cosines)?;
                finite("light", at, &[range.unwrap_or(1.0)])?;
            }
        }
    }
    let sky = &model.environment;
    finite("environment", 0, &sky.rgb)?;
    finite("environment", 0, &sky.constant)?;
    finite("environment", 0, &[sky.rotation])?;
    let fits = sides.contains(&sky.width) && sides.contains(&sky.height) || (sky.width == 0 && sky.height == 0);
    if !fits || sky.rgb.len() as u64 != u64::from(sky.width) * u64::from(sky.height) * 3 {
        return Err(BuildError::Sides { what: "environment", at: 0 });
    }
    let Camera { position, right, up, forward, tan_half_fov, aperture, focus } = model.camera;
    for numbers in [position, right, up, forward, [tan_half_fov, aperture, focus]] {
        finite("camera", 0, &numbers)?;
    }
    Ok(())
}

/// The largest coordinate of anything that a ray may begin at or end on; rounding errors are in proportion to it.
fn extent(model: &Model) -> f64 {
    let positions = model.triangles.iter().flat_map(|triangle| triangle.vertices.map(|vertex| vertex.position));
    let camera = model.camera.position.map(|x| x.abs() + model.camera.aperture.abs());
    let largest = positions.chain([camera]).flatten().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    if largest > 1e-9 { f64::from(largest) } else { 1.0 }
}

/// Vectors in double precision, for what is prepared once.
mod wide {
    pub(super) type D3 = [f64; 3];

    pub(super) fn from(v: [f32; 3]) -> D3 {
        v.map(f64::from)
    }
    pub(super) fn sub(a: D3, b: D3) -> D3 {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
    }
    pub(super) fn scale(a: D3, s: f64) -> D3 {
        a.map(|x| x * s)
    }
    pub(super) fn dot(a: D3, b: D3) -> f64 {
        a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    }
    pub(super) fn cross(a: D3, b: D3) -> D3 {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    }
    /// The sum of the coordinates' sizes.
    pub(super) fn size(a: D3) -> f64 {
        a[0].abs() + a[1].abs() + a[2].abs()
    }
}
use wide::{cross, dot, scale, size, sub};

/// A triangle as rays are tested against it.
///
/// It is a little larger than the model's, so that no ray slips through between neighbours whose rounding differs; its box
/// is larger still, so that no box is missed whose triangle would be hit.
struct Prepared {
    /// One number of each row of a group.
    rows: [f32; 13],
    bounds: Bounds,
    area: f64,
    normal: [f32; 3],
}

impl Prepared {
    /// None if it has no area to speak of.
    fn new(triangle: &Triangle, double_sided: bool, extent: f64) -> Option<Self> {
        let [a, b, c] = triangle.vertices.map(|vertex| wide::from(vertex.position));
        let (e1, e2) = (sub(b, a), sub(c, a));
        let n = cross(e1, e2);
        let square = dot(n, n);
        let length = square.sqrt();
        let normal = scale(n, 1.0 / length);
        // u and v are 0 to 1 along the edges: u(p) = (e2 x n).(p - a) / n.n, v(p) = (n x e1).(p - a) / n.n
        let (u, v) = (scale(cross(e2, n), 1.0 / square), scale(cross(n, e1), 1.0 / square));
        let w = wide::sub(scale(u, -1.0), v);
        let steepest = [u, v, w].map(size).into_iter().fold(0.0, f64::max);
        // Errors of u, v and 1 - u - v at a place that is rounded to 2^-24 of the extent, with room to spare.
        let error = steepest * extent * 2.0_f64.powi(-20);
        let growth = (error / 2.0).min(1.0 / 16.0);
        let shrink = 1.0 / (1.0 + 3.0 * growth);
        let row = |r: [f64; 3]| {
            let [x, y, z] = scale(r, shrink);
            [x, y, z, (growth - dot(r, a)) * shrink].map(narrow)
        };
        let plane = [normal[0], normal[1], normal[2], dot(normal, a)].map(narrow);
        let bound = if double_sided { f32::INFINITY } else { 0.0 };
        let rows: Vec<f32> = [plane, row(u), row(v)].into_iter().flatten().chain([bound]).collect();
        let rows: [f32; 13] = rows.try_into().expect("thirteen rows");
        if !rows[..12].iter().all(|x| x.is_finite()) {
            return None;
        }
        let longest = [e1, e2, sub(c, b)].map(|e| dot(e, e)).into_iter().fold(0.0, f64::max).sqrt();
        let margin = 3.0 * (growth + error) * longest + extent * 2.0_f64.powi(-18);
        let mut bounds = Bounds::EMPTY;
        for axis in 0..3 {
            let (low, high) = (a[axis].min(b[axis]).min(c[axis]), a[axis].max(b[axis]).max(c[axis]));
            bounds.low[axis] = narrow(low - margin);
            bounds.high[axis] = narrow(high + margin);
        }
        Some(Self { rows, bounds, area: length / 2.0, normal: normal.map(narrow) })
    }
}

/// The nearest single.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
fn narrow(x: f64) -> f32 {
    x as f32
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

fn word(index: usize) -> u32 {
    u32::try_from(index).expect("counts are bounded by WORDS_MAX")
}

fn nodes(tree: &bvh::Tree) -> Vec<u32> {
    let mut words = Vec::with_capacity(tree.nodes.len() * layout::NODE_WORDS);
    for node in &tree.nodes {
        let mut block = [0_u32; layout::NODE_WORDS];
        for lane in 0..8 {
            // A lane without a child has a box that nothing enters.
            let none = Bounds { low: [f32::MAX; 3], high: [-f32::MAX; 3] };
            let (bounds, child) = match node.get(lane) {
                None => (none, layout::NONE),
                Some((bounds, Child::Node(at))) => (*bounds, word(*at)),
                Some((bounds, Child::Group(at))) => (*bounds, layout::LEAF | word(*at)),
            };
            for axis in 0..3 {
                block[axis * 8 + lane] = bounds.low[axis].to_bits();
                block[24 + axis * 8 + lane] = bounds.high[axis].to_bits();
            }
            block[layout::NODE_CHILDREN + lane] = child;
        }
        words.extend(block);
    }
    words
}

fn groups(tree: &bvh::Tree, prepared: &[Option<Prepared>]) -> Vec<u32> {
    let mut words = Vec::with_capacity(tree.groups.len() * layout::GROUP_WORDS);
    for group in &tree.groups {
        let mut block = [0_u32; layout::GROUP_WORDS];
        for (lane, &triangle) in group.iter().enumerate() {
            let prepared = prepared[triangle as usize].as_ref().expect("the tree holds prepared triangles");
            for (row, number) in prepared.rows.iter().enumerate() {
                block[row * 8 + lane] = number.to_bits();
            }
        }
        words.extend(block);
    }
    words
}

/// What is needed of a triangle where it is hit.
struct Shading {
    shades: Vec<u32>,
    attributes: Vec<u32>,
}

impl Shading {
    fn new(model: &Model, slots: &[u32], emitters: &Emitters) -> Self {
        let mut shading = Self { shades: Vec::new(), attributes: Vec::new() };
        for (slot, &at) in slots.iter().enumerate() {
            if at == layout::NONE {
                shading.shades.extend([layout::NONE, layout::NONE, 0, 0]);
                continue;
            }
            let triangle = &model.triangles[at as usize];
            let begin = word(shading.attributes.len());
            let flags = shading.attributes_of(triangle, &model.materials[triangle.material as usize]);
            shading.shades.extend([triangle.material, emitters.of_slot(slot), flags, begin]);
        }
        shading
    }

    /// Appends the attributes that matter, and tells which these are.
    fn attributes_of(&mut self, triangle: &Triangle, made_of: &Material) -> u32 {
        let vertices = &triangle.vertices;
        let [a, b, c] = vertices.map(|vertex| wide::from(vertex.position));
        let n = cross(sub(b, a), sub(c, a));
        let flat = |vertex: &Vertex| dot(wide::from(vertex.normal), n) >= dot(n, n).sqrt() * (1.0 - 1e-6);
        let mut flags = 0;
        let usages = uses(made_of);
        let set = |set: u8| usages.iter().flatten().any(|usage| usage.set == set);
        let mut put = |flag: u32, numbers: &mut dyn Iterator<Item = f32>| {
            flags |= flag;
            self.attributes.extend(numbers.map(f32::to_bits));
        };
        if !vertices.iter().all(flat) {
            put(layout::NORMALS, &mut vertices.iter().flat_map(|vertex| vertex.normal));
        }
        if made_of.normal_texture.is_some() && vertices.iter().all(|vertex| vertex.tangent[3] != 0.0) {
            put(layout::TANGENTS, &mut vertices.iter().flat_map(|vertex| vertex.tangent));
        }
        if set(0) {
            put(layout::UV0, &mut vertices.iter().flat_map(|vertex| vertex.uv[0]));
        }
        if set(1) {
            put(layout::UV1, &mut vertices.iter().flat_map(|vertex| vertex.uv[1]));
        }
        if vertices.iter().any(|vertex| vertex.color != [1.0; 4]) {
            put(layout::COLORS, &mut vertices.iter().flat_map(|vertex| vertex.color));
        }
        flags
    }
}

fn uses(m: &Material) -> [Option<TextureUse>; 6] {
    [
        m.base_color_texture,
        m.metallic_roughness_texture,
        m.normal_texture,
        m.occlusion_texture,
        m.emissive_texture,
        m.transmission_texture,
    ]
}

fn emits(m: &Material) -> bool {
    !m.unlit && m.emissive.iter().any(|&x| x > 0.0)
}

fn see_through(m: &Material) -> bool {
    m.alpha != Alpha::Opaque || (m.transmission > 0.0 && !m.unlit)
}

fn material_words(m: &Material) -> [u32; material::LENGTH] {
    let mut words = [0_u32; material::LENGTH];
    let usages = uses(m);
    let mut flags = 0;
    let mut flag = |on: bool, bit: u32| flags |= if on { bit } else { 0 };
    flag(m.unlit, material::UNLIT);
    flag(matches!(m.alpha, Alpha::Mask(_)), material::MASK);
    flag(m.alpha == Alpha::Blend, material::BLEND);
    flag(see_through(m), material::SEE_THROUGH);
    flag(usages.iter().any(Option::is_some), material::TEXTURED);
    flag(emits(m), material::EMITS);
    words[material::FLAGS] = flags;
    let mut put = |place: usize, numbers: &[f32]| {
        for (word, number) in words[place..].iter_mut().zip(numbers) {
            *word = number.to_bits();
        }
    };
    let part = |x: f32| x.clamp(0.0, 1.0);
    put(material::BASE_COLOR, &m.base_color.map(part));
    put(material::METALLIC, &[part(m.metallic), part(m.roughness), m.normal_scale, part(m.occlusion_strength)]);
    put(material::EMISSIVE, &m.emissive.map(|x| x.max(0.0)));
    let cutoff = if let Alpha::Mask(cutoff) = m.alpha { cutoff } else { 0.0 };
    // An index of 0 means a mirror (KHR_materials_ior); one of 1 has no surface at all, not even at grazing angles.
    let root = if m.ior == 0.0 { 1.0 } else { (m.ior - 1.0) / (m.ior + 1.0) };
    let f0 = part(root * root);
    put(material::CUTOFF, &[cutoff, part(m.transmission), f0, part(50.0 * f0)]);
    for (at, usage) in usages.iter().enumerate() {
        let place = material::USES + at * material::USE_WORDS;
        words[place] = layout::NONE;
        if let Some(usage) = usage {
            words[place] = usage.texture;
            words[place + 1] = u32::from(usage.set);
            words[place + 2..place + 8].copy_from_slice(&bits(usage.transform.as_flattened()));
        }
    }
    words
}

fn textures(model: &Model) -> (Vec<u32>, Vec<u32>) {
    let (mut records, mut texels) = (Vec::new(), Vec::new());
    for texture in &model.textures {
        let wrap = |wrap: Wrap| match wrap {
            Wrap::Repeat => 0,
            Wrap::Mirror => layout::WRAP_MIRROR,
            Wrap::Clamp => layout::WRAP_CLAMP,
        };
        let mut flags = wrap(texture.wrap[0]) | wrap(texture.wrap[1]) << layout::WRAP_VERTICAL;
        flags |= if texture.srgb { layout::TEXTURE_SRGB } else { 0 };
        flags |= if texture.nearest { layout::TEXTURE_NEAREST } else { 0 };
        records.extend([word(texels.len()), texture.width, texture.height, flags]);
        let (chunks, _) = texture.rgba.as_chunks::<4>();
        texels.extend(chunks.iter().map(|rgba| u32::from_le_bytes(*rgba)));
    }
    (records, texels)
}

fn luminance([r, g, b]: [f32; 3]) -> f64 {
    0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
}

/// Draws one of several in proportion to their weights with one comparison (Vose's alias method).
struct Alias {
    rows: Vec<(f32, u32)>,
}

impl Alias {
    fn new(weights: &[f64]) -> Self {
        let sum: f64 = weights.iter().sum();
        let scale = if sum > 0.0 { weights.len() as f64 / sum } else { 0.0 };
        let mut left: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let mut rows: Vec<(f32, u32)> = (0..).zip(&left).map(|(at, _)| (1.0, at)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..left.len()).partition(|&at| left[at] < 1.0);
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            rows[low] = (narrow(left[low]), word(high));
            left[high] -= 1.0 - left[low];
            if left[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { rows }
    }
}

/// The environment picture's table for sampling.
struct SkyTable {
    words: Vec<u32>,
    /// Irradiance from all around, roughly: the mean radiance times 4 pi.
    power: f64,
}

impl SkyTable {
    fn new(sky: &Environment) -> Self {
        let (width, height) = (sky.width as usize, sky.height as usize);
        let at = |x: usize, y: usize| {
            let place = (y * width + x) * 3;
            luminance([sky.rgb[place], sky.rgb[place + 1], sky.rgb[place + 2]]).max(0.0)
        };
        // What bilinear filtering shows in a texel comes from its neighbours too.
        let mut weights = Vec::with_capacity(width * height);
        let mut sum_of_sines = 0.0;
        for y in 0..height {
            let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
            let sine = sine_of_half_turns((y as f64 + 0.5) / height as f64);
            sum_of_sines += sine * width as f64;
            for x in 0..width {
                let columns = [(x + width - 1) % width, x, (x + 1) % width];
                let sum: f64 = rows.iter().flat_map(|&y| columns.map(|x| at(x, y))).sum();
                weights.push((sum + at(x, y) * 3.0) / 12.0 * sine);
            }
        }
        let sum: f64 = weights.iter().sum();
        let scale = if sum > 0.0 { weights.len() as f64 / (sum * 2.0 * PI * PI) } else { 0.0 };
        let alias = Alias::new(&weights);
        let rows = alias.rows.iter().zip(&weights);
        let words = rows
            .flat_map(|((threshold, other), weight)| [threshold.to_bits(), *other, narrow(weight * scale).to_bits()]);
        let power = if sum > 0.0 { sum / sum_of_sines * 4.0 * PI } else { 0.0 };
        Self { words: words.collect(), power }
    }
}

const PI: f64 = std::f64::consts::PI;

/// The sine of pi * x, x from 0 to 1: Taylor's series about the middle, to 1e-9.
fn sine_of_half_turns(x: f64) -> f64 {
    let z = (x - 0.5) * PI;
    let z2 = z * z;
    (1..10).rev().fold(1.0, |sum, k| 1.0 - sum * z2 / f64::from((2 * k - 1) * (2 * k)))
}

/// What shines, as it is sampled.
struct Emitters {
    records: Vec<Record>,
    of_slot: Vec<u32>,
    sky_chance: f32,
}

struct Record {
    kind: u32,
    /// What the probability is divided by: a triangle's area, or 1.
    per: f64,
    power: f64,
    data: [f32; 16],
    slot: Option<u32>,
}

impl Emitters {
    fn new(model: &Model, slots: &[u32], sky: &SkyTable, extent: f64) -> Self {
        let mut emitters = Self { records: Vec::new(), of_slot: vec![layout::NONE; slots.len()], sky_chance: 0.0 };
        for (slot, &at) in slots.iter().enumerate() {
            if at == layout::NONE {
                continue;
            }
            let triangle = &model.triangles[at as usize];
            if let Some(record) = Record::of_triangle(model, triangle, slot, extent) {
                emitters.of_slot[slot] = word(emitters.records.len());
                emitters.records.push(record);
            }
        }
        emitters.records.extend(model.lights.iter().map(|light| Record::of_light(light, extent)));
        let sky_power = sky.power * extent * extent * PI / 4.0;
        if sky_power > 0.0 {
            let data = [0.0; 16];
            emitters.records.push(Record { kind: emitter::SKY, per: 1.0, power: sky_power, data, slot: None });
        }
        emitters.balance();
        if emitters.records.iter().all(|record| record.power == 0.0) {
            emitters.records.clear();
            emitters.of_slot.fill(layout::NONE);
        }
        let sum: f64 = emitters.records.iter().map(|record| record.power).sum();
        let sky = emitters.records.last().filter(|record| record.kind == emitter::SKY);
        emitters.sky_chance = sky.map_or(0.0, |sky| narrow(sky.power / sum));
        emitters
    }

    /// The power of light from afar is only known to the scene's size squared, which says little of where people look:
    /// neither it nor the light from within is left with less than a quarter of the samples.
    fn balance(&mut self) {
        let far = |record: &Record| matches!(record.kind, emitter::SKY | emitter::DIRECTIONAL);
        let sum = |side: bool| self.records.iter().filter(|r| far(r) == side).map(|r| r.power).sum::<f64>();
        let (within, afar) = (sum(false), sum(true));
        if within > 0.0 && afar > 0.0 {
            let scale = afar.clamp(within / 3.0, within * 3.0) / afar;
            self.records.iter_mut().filter(|record| far(record)).for_each(|record| record.power *= scale);
        }
    }

    fn of_slot(&self, slot: usize) -> u32 {
        self.of_slot[slot]
    }

    fn words(&self) -> Vec<u32> {
        let powers: Vec<f64> = self.records.iter().map(|record| record.power).collect();
        let sum: f64 = powers.iter().sum();
        let alias = Alias::new(&powers);
        let mut words = Vec::with_capacity(powers.len() * emitter::LENGTH);
        for (record, (threshold, other)) in self.records.iter().zip(&alias.rows) {
            let density = narrow(record.power / sum / record.per);
            words.extend([record.kind, density.to_bits(), threshold.to_bits(), *other]);
            let begin = words.len();
            words.extend(bits(&record.data));
            if let Some(slot) = record.slot {
                words[begin + emitter::SLOT - emitter::CORNER] = slot;
            }
        }
        words
    }
}

impl Record {
    /// None if it does not shine.
    fn of_triangle(model: &Model, triangle: &Triangle, slot: usize, extent: f64) -> Option<Self> {
        let made_of = &model.materials[triangle.material as usize];
        if !emits(made_of) {
            return None;
        }
        let prepared = Prepared::new(triangle, made_of.double_sided, extent)?;
        let [a, b, c] = triangle.vertices.map(|vertex| wide::from(vertex.position));
        let mut data = [0.0; 16];
        let radiance = made_of.emissive.map(|x| x.max(0.0));
        for (place, three) in [
            (emitter::CORNER, triangle.vertices[0].position),
            (emitter::EDGE1, sub(b, a).map(narrow)),
            (emitter::EDGE2, sub(c, a).map(narrow)),
            (emitter::NORMAL, prepared.normal),
            (emitter::RADIANCE, radiance),
        ] {
            data[place - emitter::CORNER..][..3].copy_from_slice(&three);
        }
        let varies = made_of.emissive_texture.is_some() || made_of.alpha != Alpha::Opaque;
        let sides = if made_of.double_sided { emitter::BOTH_SIDES } else { 0 };
        let kind = emitter::TRIANGLE | sides | if varies { emitter::VARIES } else { 0 };
        let shown = made_of.emissive_texture.map_or(1.0, |usage| mean_of_texture(model, &usage, triangle));
        let power = luminance(radiance).max(1e-12) * shown * prepared.area * if sides == 0 { PI } else { 2.0 * PI };
        let slot = Some(word(slot));
        Some(Self { kind, per: prepared.area, power, data, slot })
    }

    fn of_light(light: &Light, extent: f64) -> Self {
        let mut data = [0.0; 16];
        let mut put = |place: usize, numbers: &[f32]| {
            data[place - emitter::PLACE..][..numbers.len()].copy_from_slice(numbers);
        };
        put(emitter::INTENSITY, &light.intensity.map(|x| x.max(0.0)));
        let inverse = |range: Option<f32>| range.filter(|range| *range > 0.0).map_or(0.0, |range| 1.0 / range);
        let shine = luminance(light.intensity.map(|x| x.max(0.0)));
        let (kind, power) = match light.kind {
            LightKind::Directional { direction } => {
                put(emitter::DIRECTION, &direction);
                (emitter::DIRECTIONAL, shine * PI * extent * extent)
            }
            LightKind::Point { position, range } => {
                put(emitter::PLACE, &position);
                put(emitter::INV_RANGE, &[inverse(range)]);
                (emitter::POINT, shine * 4.0 * PI)
            }
            LightKind::Spot { position, direction, cosines: [inner, outer], range } => {
                put(emitter::PLACE, &position);
                put(emitter::INV_RANGE, &[inverse(range)]);
                put(emitter::DIRECTION, &direction);
                let slope = 1.0 / (inner - outer).max(0.001);
                put(emitter::CONE_SCALE, &[slope, -outer * slope]);
                (emitter::SPOT, shine * 2.0 * PI * f64::from(1.0 - outer.clamp(-1.0, 1.0)).max(1e-3))
            }
        };
        Self { kind, per: 1.0, power, data, slot: None }
    }
}

/// The mean luminance of a texture over a triangle, from 16 places and a little of its own mean so that none is missed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the integer part is asked for")]
fn mean_of_texture(model: &Model, usage: &TextureUse, triangle: &Triangle) -> f64 {
    let texture = &model.textures[usage.texture as usize];
    let table = srgb::table();
    let (width, height) = (texture.width as usize, texture.height as usize);
    let mut sum = 0.0;
    for at in 0..16_u16 {
        let (mut u, mut v) = (f64::from(at % 4) / 4.0 + 0.125, f64::from(at / 4) / 4.0 + 0.125);
        if u + v > 1.0 {
            (u, v) = (1.0 - u, 1.0 - v);
        }
        let weights = [1.0 - u - v, u, v];
        let uv = |axis: usize| -> f64 {
            let corners = triangle.vertices.iter().zip(weights);
            corners.map(|(vertex, weight)| f64::from(vertex.uv[usize::from(usage.set)][axis]) * weight).sum()
        };
        let [s, t] = [uv(0), uv(1)];
        let [s, t] = usage.transform.map(|[a, b, c]| f64::from(a) * s + f64::from(b) * t + f64::from(c));
        let texel = |x: f64, side: usize| ((x - x.floor()) * side as f64) as usize % side;
        let place = (texel(t, height) * width + texel(s, width)) * 4;
        let value = |channel: usize| {
            let byte = texture.rgba[place + channel];
            if texture.srgb { table[usize::from(byte)] } else { f32::from(byte) / 255.0 }
        };
        sum += luminance([value(0), value(1), value(2)]);
    }
    sum / 16.0 * 0.9 + 0.1
}

/// A blob in the making.
struct Blob {
    words: Vec<u32>,
}

impl Blob {
    fn new(model: &Model, extent: f64) -> Self {
        let mut blob = Self { words: vec![0; header::LENGTH] };
        blob.words[header::MAGIC] = layout::MAGIC;
        blob.words[header::VERSION] = layout::VERSION;
        let used = |triangle: &Triangle| see_through(&model.materials[triangle.material as usize]);
        blob.words[header::FLAGS] = if model.triangles.iter().any(used) { layout::FLAG_SEE_THROUGH } else { 0 };
        let sky = &model.environment;
        blob.words[header::SKY_WIDTH] = sky.width;
        blob.words[header::SKY_HEIGHT] = sky.height;
        blob.put(header::OFFSET, narrow(extent * 2.0_f64.powi(-18)));
        let Camera { position, right, up, forward, tan_half_fov, aperture, focus } = model.camera;
        for (place, three) in [
            (header::POSITION, position),
            (header::RIGHT, right),
            (header::UP, up),
            (header::FORWARD, forward),
            (header::TAN_HALF_FOV, [tan_half_fov, aperture, focus]),
            (header::SKY_CONSTANT, sky.constant),
        ] {
            (0..3).for_each(|axis| blob.put(place + axis, three[axis]));
        }
        let turns = f64::from(sky.rotation) / (2.0 * PI);
        blob.put(header::SKY_TURN, narrow(turns - turns.floor()));
        blob
    }

    fn put(&mut self, place: usize, number: f32) {
        self.words[place] = number.to_bits();
    }

    /// Appends a section, aligned, and notes where it is and how many records it has.
    fn section(&mut self, place: usize, count: Option<usize>, record: usize, words: Vec<u32>) {
        self.words.resize(self.words.len().next_multiple_of(layout::ALIGN), 0);
        // Lengths beyond 32 bits are refused in the end.
        self.words[place] = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        if let Some(count) = count {
            self.words[count] = u32::try_from(words.len() / record).unwrap_or(u32::MAX);
        }
        self.words.extend(words);
    }

    fn bytes(mut self) -> Result<Vec<u8>, BuildError> {
        self.words.resize(self.words.len().next_multiple_of(8), 0);
        let length = self.words.len() as u64;
        if length > WORDS_MAX {
            return Err(BuildError::TooLarge(length));
        }
        self.words[header::WORDS] = word(self.words.len());
        Ok(self.words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }
}
