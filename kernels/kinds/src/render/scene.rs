//! A scene blob: everything that a device needs to render one moment, flat and checked.
//!
//! [`Scene::parse`] is the gate: whatever passes it can be rendered by any device without reading outside the blob, without
//! endless loops and without a panic. The digest of the blob's bytes names the scene.

use super::layout::{self, emitter, header, material};
use super::math::{V3, v3};

/// A checked scene blob.
#[derive(Clone, PartialEq)]
pub struct Scene {
    words: Vec<u32>,
    pub(super) nodes: usize,
    pub(super) groups: usize,
    pub(super) shades: usize,
    pub(super) attributes: usize,
    pub(super) materials: usize,
    pub(super) textures: usize,
    pub(super) texels: usize,
    pub(super) emitters: usize,
    pub(super) emitter_count: u32,
    pub(super) sky: usize,
    pub(super) sky_width: u32,
    pub(super) sky_height: u32,
    pub(super) sky_table: usize,
    pub(super) srgb: usize,
    pub(super) see_through: bool,
}

/// Why bytes are no scene.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SceneError {
    /// It does not begin as a scene does.
    #[error("not a scene blob")]
    Magic,
    /// A layout that this program does not know.
    #[error("scene blob of version {0}, expected {version}", version = layout::VERSION)]
    Version(u32),
    /// The header tells another length.
    #[error("scene blob of {got} bytes, expected {expected}")]
    Length {
        /// Bytes that there are.
        got: usize,
        /// Bytes that the header tells.
        expected: u64,
    },
    /// A section does not lie within the blob.
    #[error("section {0} lies outside the blob")]
    Section(&'static str),
    /// A section that devices read several words at a time does not begin where that can be done.
    #[error("section {0} does not begin at a multiple of {align} words", align = layout::ALIGN)]
    Alignment(&'static str),
    /// A number outside its range.
    #[error("{what} {at} is {value}, which is out of range")]
    Range {
        /// What the number is.
        what: &'static str,
        /// Where it stands in its section.
        at: usize,
        /// What it is.
        value: u32,
    },
    /// The nodes are not one tree.
    #[error("node {0} is reached twice, never, or backwards")]
    Tree(usize),
    /// The tree is deeper than a traversal's stack.
    #[error("a traversal needs {0} stack entries, at most {max} are allowed", max = layout::STACK)]
    Deep(usize),
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene").field("words", &self.words.len()).finish_non_exhaustive()
    }
}

impl Scene {
    /// The scene in `bytes`, if it is one through and through.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, SceneError> {
        let (chunks, rest) = bytes.as_chunks::<4>();
        let words: Vec<u32> = chunks.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        if words.first() != Some(&layout::MAGIC) {
            return Err(SceneError::Magic);
        }
        match words.get(header::VERSION) {
            Some(&layout::VERSION) => {}
            version => return Err(SceneError::Version(version.copied().unwrap_or(0))),
        }
        let told = words.get(header::WORDS).copied().unwrap_or(0);
        if !rest.is_empty() || told as usize != words.len() || words.len() < header::LENGTH {
            return Err(SceneError::Length { got: bytes.len(), expected: u64::from(told) * 4 });
        }
        let at = |place: usize| words[place] as usize;
        let sky_texels = u64::from(words[header::SKY_WIDTH]) * u64::from(words[header::SKY_HEIGHT]);
        let sections = [
            ("nodes", header::NODES, u64::from(words[header::NODE_COUNT]) * layout::NODE_WORDS as u64),
            ("groups", header::GROUPS, u64::from(words[header::GROUP_COUNT]) * layout::GROUP_WORDS as u64),
            ("shades", header::SHADES, u64::from(words[header::GROUP_COUNT]) * 8 * layout::SHADE_WORDS as u64),
            ("attributes", header::ATTRIBUTES, u64::from(words[header::ATTRIBUTE_WORDS])),
            ("materials", header::MATERIALS, u64::from(words[header::MATERIAL_COUNT]) * material::LENGTH as u64),
            ("textures", header::TEXTURES, u64::from(words[header::TEXTURE_COUNT]) * layout::TEXTURE_WORDS as u64),
            ("texels", header::TEXELS, u64::from(words[header::TEXEL_COUNT])),
            ("emitters", header::EMITTERS, u64::from(words[header::EMITTER_COUNT]) * emitter::LENGTH as u64),
            ("sky", header::SKY, sky_texels.saturating_mul(3)),
            ("sky table", header::SKY_TABLE, sky_texels.saturating_mul(layout::SKY_TABLE_WORDS as u64)),
            ("sRGB table", header::SRGB, 256),
        ];
        for (name, place, length) in sections {
            if (at(place) as u64).saturating_add(length) > words.len() as u64 {
                return Err(SceneError::Section(name));
            }
        }
        for (name, place) in [("nodes", header::NODES), ("groups", header::GROUPS)] {
            if !at(place).is_multiple_of(layout::ALIGN) {
                return Err(SceneError::Alignment(name));
            }
        }
        let scene = Self {
            nodes: at(header::NODES),
            groups: at(header::GROUPS),
            shades: at(header::SHADES),
            attributes: at(header::ATTRIBUTES),
            materials: at(header::MATERIALS),
            textures: at(header::TEXTURES),
            texels: at(header::TEXELS),
            emitters: at(header::EMITTERS),
            emitter_count: words[header::EMITTER_COUNT],
            sky: at(header::SKY),
            sky_width: words[header::SKY_WIDTH],
            sky_height: words[header::SKY_HEIGHT],
            sky_table: at(header::SKY_TABLE),
            srgb: at(header::SRGB),
            see_through: words[header::FLAGS] & layout::FLAG_SEE_THROUGH != 0,
            words,
        };
        scene.check_numbers()?;
        scene.check_tree()?;
        scene.check_shades()?;
        scene.check_materials()?;
        scene.check_emitters()?;
        Ok(scene)
    }

    /// The blob as words, for a device.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The word at `place`.
    #[inline(always)]
    pub(super) fn word(&self, place: usize) -> u32 {
        self.words[place]
    }

    /// The number at `place`.
    #[inline(always)]
    pub(super) fn number(&self, place: usize) -> f32 {
        f32::from_bits(self.words[place])
    }

    /// The three numbers from `place` on.
    #[inline(always)]
    pub(super) fn three(&self, place: usize) -> V3 {
        v3(self.number(place), self.number(place + 1), self.number(place + 2))
    }

    /// The eight numbers from `place` on.
    #[inline(always)]
    pub(super) fn eight(&self, place: usize) -> [f32; 8] {
        let words: [u32; 8] = self.words[place..place + 8].try_into().expect("eight words");
        words.map(f32::from_bits)
    }

    fn in_range(&self, what: &'static str, at: usize, place: usize, below: u32) -> Result<(), SceneError> {
        let value = self.word(place);
        if value < below { Ok(()) } else { Err(SceneError::Range { what, at, value }) }
    }

    /// Numbers of the header that decide integers or lengths of loops.
    fn check_numbers(&self) -> Result<(), SceneError> {
        for (what, place) in [("sky width", header::SKY_WIDTH), ("sky height", header::SKY_HEIGHT)] {
            self.in_range(what, 0, place, layout::SIDE_MAX + 1)?;
        }
        for place in header::OFFSET..=header::SKY_CHANCE {
            if !self.number(place).is_finite() {
                return Err(SceneError::Range { what: "header number", at: place, value: self.word(place) });
            }
        }
        let turn = self.number(header::SKY_TURN);
        if !(0.0..=1.0).contains(&turn) {
            return Err(SceneError::Range { what: "sky turn", at: 0, value: turn.to_bits() });
        }
        Ok(())
    }

    /// Every node but the first, and every group, is the child of one node before it; the stack suffices.
    fn check_tree(&self) -> Result<(), SceneError> {
        let (nodes, groups) = (self.word(header::NODE_COUNT), self.word(header::GROUP_COUNT));
        if nodes == 0 {
            return Err(SceneError::Tree(0));
        }
        self.in_range("group count", 0, header::GROUP_COUNT, layout::LEAF / 8)?;
        let mut node_seen = vec![false; nodes as usize];
        let mut group_seen = vec![false; groups as usize];
        node_seen[0] = true;
        let mut needs = vec![0_usize; nodes as usize];
        for at in (0..nodes as usize).rev() {
            let (mut children, mut deepest) = (0, 0);
            for lane in 0..8 {
                let child = self.word(self.nodes + at * layout::NODE_WORDS + layout::NODE_CHILDREN + lane);
                if child == layout::NONE {
                    continue;
                }
                children += 1;
                let seen = if child & layout::LEAF != 0 {
                    group_seen.get_mut((child & !layout::LEAF) as usize)
                } else if child as usize > at {
                    deepest = deepest.max(needs.get(child as usize).copied().unwrap_or(0));
                    node_seen.get_mut(child as usize)
                } else {
                    None
                };
                match seen {
                    Some(seen) if !*seen => *seen = true,
                    _ => return Err(SceneError::Tree(at)),
                }
            }
            needs[at] = children.max(deepest + children.max(1) - 1);
        }
        if let Some(orphan) = node_seen.iter().position(|seen| !seen) {
            return Err(SceneError::Tree(orphan));
        }
        if needs[0] > layout::STACK { Err(SceneError::Deep(needs[0])) } else { Ok(()) }
    }

    fn check_shades(&self) -> Result<(), SceneError> {
        let attributes = u64::from(self.word(header::ATTRIBUTE_WORDS));
        for slot in 0..self.word(header::GROUP_COUNT) as usize * 8 {
            let place = self.shades + slot * layout::SHADE_WORDS;
            if self.word(place) == layout::NONE {
                self.check_unused(slot)?;
                continue;
            }
            self.in_range("material of slot", slot, place, self.word(header::MATERIAL_COUNT))?;
            if self.word(place + 1) != layout::NONE {
                self.in_range("emitter of slot", slot, place + 1, self.emitter_count)?;
            }
            self.in_range("attributes of slot", slot, place + 2, 32)?;
            let end = u64::from(self.word(place + 3)) + layout::attribute_words(self.word(place + 2)) as u64;
            if end > attributes {
                return Err(SceneError::Range { what: "attributes of slot", at: slot, value: self.word(place + 3) });
            }
        }
        Ok(())
    }

    /// A slot without a triangle is never hit: its plane has no normal, so no ray has a distance to it.
    fn check_unused(&self, slot: usize) -> Result<(), SceneError> {
        for row in 0..layout::GROUP_WORDS / 8 {
            let value = self.word(self.groups + slot / 8 * layout::GROUP_WORDS + row * 8 + slot % 8);
            if value != 0 {
                return Err(SceneError::Range { what: "row of unused slot", at: slot, value });
            }
        }
        Ok(())
    }

    fn check_materials(&self) -> Result<(), SceneError> {
        let textures = self.word(header::TEXTURE_COUNT);
        for at in 0..self.word(header::MATERIAL_COUNT) as usize {
            let place = self.materials + at * material::LENGTH;
            for usage in 0..6 {
                let place = place + material::USES + usage * material::USE_WORDS;
                if self.word(place) != layout::NONE {
                    self.in_range("texture of material", at, place, textures)?;
                    self.in_range("texture coordinates of material", at, place + 1, 2)?;
                }
            }
        }
        for at in 0..textures as usize {
            let place = self.textures + at * layout::TEXTURE_WORDS;
            let side = 1..=layout::SIDE_MAX;
            let (width, height) = (self.word(place + 1), self.word(place + 2));
            for value in [width, height] {
                if !side.contains(&value) {
                    return Err(SceneError::Range { what: "side of texture", at, value });
                }
            }
            let end = u64::from(self.word(place)) + u64::from(width) * u64::from(height);
            if end > u64::from(self.word(header::TEXEL_COUNT)) {
                return Err(SceneError::Range { what: "texels of texture", at, value: self.word(place) });
            }
        }
        Ok(())
    }

    fn check_emitters(&self) -> Result<(), SceneError> {
        let slots = self.word(header::GROUP_COUNT) * 8;
        for at in 0..self.emitter_count as usize {
            let place = self.emitters + at * emitter::LENGTH;
            self.in_range("alias of emitter", at, place + emitter::ALIAS, self.emitter_count)?;
            match self.word(place + emitter::KIND) & 0xff {
                emitter::TRIANGLE => {
                    self.in_range("slot of emitter", at, place + emitter::SLOT, slots)?;
                    let slot = self.word(place + emitter::SLOT) as usize;
                    if self.word(self.shades + slot * layout::SHADE_WORDS) == layout::NONE {
                        return Err(SceneError::Range { what: "slot of emitter", at, value: self.word(place) });
                    }
                }
                emitter::POINT | emitter::SPOT | emitter::DIRECTIONAL => {}
                emitter::SKY if self.sky_width > 0 && self.sky_height > 0 => {}
                value => return Err(SceneError::Range { what: "kind of emitter", at, value }),
            }
        }
        let texels = self.sky_width * self.sky_height;
        for at in 0..texels as usize {
            self.in_range("alias of sky texel", at, self.sky_table + at * layout::SKY_TABLE_WORDS + 1, texels)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::Sequence;
    use super::super::{Aovs, Settings, build, render_element, samples};
    use super::*;

    fn blob() -> Vec<u8> {
        build(&samples::every_feature()).expect("it can be built")
    }

    #[test]
    fn the_same_model_makes_the_same_blob() {
        assert_eq!(blob(), blob());
    }

    #[test]
    fn what_is_no_scene_is_refused_by_name() {
        let blob = blob();
        assert_eq!(Scene::parse(&[]), Err(SceneError::Magic));
        assert_eq!(Scene::parse(&blob[1..]), Err(SceneError::Magic));
        assert!(matches!(Scene::parse(&blob[..blob.len() - 4]), Err(SceneError::Length { .. })));
        assert!(matches!(Scene::parse(&blob[..blob.len() - 1]), Err(SceneError::Length { .. })));
        let with = |place: usize, word: u32| {
            let mut blob = blob.clone();
            blob[place * 4..place * 4 + 4].copy_from_slice(&word.to_le_bytes());
            Scene::parse(&blob)
        };
        let scene = Scene::parse(&blob).expect("a scene");
        assert_eq!(with(header::VERSION, 2), Err(SceneError::Version(2)));
        assert_eq!(with(header::TEXELS, u32::MAX), Err(SceneError::Section("texels")));
        assert_eq!(with(header::NODES, 68), Err(SceneError::Alignment("nodes")));
        assert_eq!(with(header::GROUPS, 63), Err(SceneError::Alignment("groups")));
        assert_eq!(with(scene.nodes + layout::NODE_CHILDREN, 0), Err(SceneError::Tree(0)));
        assert!(matches!(with(scene.shades, 1_000), Err(SceneError::Range { what: "material of slot", at: 0, .. })));
        assert!(matches!(with(header::APERTURE, f32::NAN.to_bits()), Err(SceneError::Range { .. })));
    }

    #[test]
    fn damaged_blobs_are_refused_or_rendered_without_harm() {
        let good = blob();
        let settings = Settings::new([16, 16], 1, 1, 4, 0, Aovs::default()).expect("in range");
        let mut rng = Sequence::new(41);
        let (mut refused, mut rendered) = (0, 0);
        for round in 0..600 {
            let mut bytes = good.clone();
            for _ in 0..1 + rng.word() % 4 {
                // Half of the damage goes to the header, the tree and the first groups.
                let reach = if round % 2 == 0 { bytes.len() } else { 4_000 };
                let place = rng.word() as usize % (reach / 4) * 4;
                let word = match rng.word() % 4 {
                    0 => rng.word(),
                    1 => u32::MAX - rng.word() % 3,
                    2 => rng.word() % 64,
                    _ => {
                        u32::from_le_bytes(bytes[place..place + 4].try_into().expect("four bytes"))
                            ^ 1 << (rng.word() % 32)
                    }
                };
                bytes[place..place + 4].copy_from_slice(&word.to_le_bytes());
            }
            match Scene::parse(&bytes) {
                Err(_) => refused += 1,
                Ok(scene) => {
                    rendered += 1;
                    assert_eq!(render_element(&scene, &settings, 0).len(), settings.element_numbers());
                }
            }
        }
        assert!(refused > 50 && rendered > 50, "{refused} refused, {rendered} rendered");
    }
}
