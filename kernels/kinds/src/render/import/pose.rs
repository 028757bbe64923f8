//! Where every node is at a moment: the scene's tree and its animations.
//!
//! Every animation of the file plays, from its own time 0, clamped at its ends. Where two drive the same property of
//! the same node, the first in the file does.

use super::accessor::Reader;
use super::affine::{Affine, double, single, slerp};
use super::error::{ImportError, item, limit};
use super::json::{AnimationSampler, Interpolation, Node};

/// Metres from the origin along each axis; beyond, single precision has nothing left for a picture.
pub(super) const COORDINATE_MAX: f32 = 1e9;
const NODES_MAX: usize = 100_000;
const CHANNELS_MAX: usize = 100_000;

/// A node of the scene and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) node: u32,
    pub(super) world: Affine,
}

/// The scene at a moment.
pub(super) struct Pose {
    /// Every node of the scene, parents before children.
    pub(super) placed: Vec<Placed>,
    /// Each node's place in `placed`, if it is in the scene.
    pub(super) places: Vec<Option<usize>>,
    moved: Vec<Moved>,
}

/// What animations set of a node.
#[derive(Clone, Debug, Default)]
struct Moved {
    translation: Option<[f64; 3]>,
    rotation: Option<[f64; 4]>,
    scale: Option<[f64; 3]>,
    weights: Option<Vec<f64>>,
}

impl Pose {
    /// The scene at `time` seconds.
    pub(super) fn at(reader: &Reader<'_>, time: f64) -> Result<Self, ImportError> {
        let document = reader.document;
        limit("nodes", "nodes", document.nodes.len(), NODES_MAX)?;
        let moved = animate(reader, time)?;
        if document.scenes.is_empty() {
            return Err(ImportError::invalid("scenes", "there is no scene"));
        }
        let scene = item(&document.scenes, "scenes", document.scene.unwrap_or(0), "scene")?;
        let mut pose = Self { placed: Vec::new(), places: vec![None; document.nodes.len()], moved };
        // A stack instead of recursion: no file's depth is the pool's.
        let mut open: Vec<(u32, Affine)> = scene.nodes.iter().rev().map(|&node| (node, Affine::IDENTITY)).collect();
        while let Some((index, parent)) = open.pop() {
            let node = item(&document.nodes, "nodes", index, "the scene's tree")?;
            let place = &mut pose.places[index as usize];
            if place.is_some() {
                let why = "it is reached twice: it has two parents, or is its own ancestor";
                return Err(ImportError::invalid(name(index, node), why));
            }
            *place = Some(pose.placed.len());
            let world = parent.after(&local(node, &pose.moved[index as usize]));
            if !world.is_finite() {
                return Err(ImportError::invalid(name(index, node), "its transform is not finite"));
            }
            let shows = node.camera.is_some() || node.extensions.light.is_some();
            if shows && beyond(single(world.position())) {
                let why = format!("a camera or light beyond {COORDINATE_MAX:e} m");
                return Err(ImportError::invalid(name(index, node), why));
            }
            pose.placed.push(Placed { node: index, world });
            limit(&name(index, node), "children in all", open.len() + node.children.len(), NODES_MAX)?;
            open.extend(node.children.iter().rev().map(|&child| (child, world)));
        }
        Ok(pose)
    }

    /// How far a node's mesh is morphed towards each target, if animated.
    pub(super) fn weights(&self, node: u32) -> Option<&[f64]> {
        self.moved.get(node as usize)?.weights.as_deref()
    }
}

/// A node as messages name it.
pub(super) fn name(index: u32, node: &Node) -> String {
    node.name.as_ref().map_or_else(|| format!("nodes[{index}]"), |name| format!("nodes[{index}] {name:?}"))
}

/// Whether a place is beyond [`COORDINATE_MAX`], or nowhere.
pub(super) fn beyond(position: [f32; 3]) -> bool {
    !position.iter().all(|part| part.abs() <= COORDINATE_MAX)
}

fn local(node: &Node, moved: &Moved) -> Affine {
    let animated = moved.translation.is_some() || moved.rotation.is_some() || moved.scale.is_some();
    if let Some(matrix) = node.matrix.as_ref().filter(|_| !animated) {
        return Affine::from_columns(matrix);
    }
    let translation = moved.translation.unwrap_or_else(|| double(node.translation.unwrap_or_default()));
    let rotation = moved.rotation.unwrap_or_else(|| double(node.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0])));
    let scale = moved.scale.unwrap_or_else(|| double(node.scale.unwrap_or([1.0; 3])));
    Affine::from_parts(translation, rotation, scale)
}

fn animate(reader: &Reader<'_>, time: f64) -> Result<Vec<Moved>, ImportError> {
    let document = reader.document;
    let mut moved = vec![Moved::default(); document.nodes.len()];
    let channels = document.animations.iter().map(|animation| animation.channels.len()).sum();
    limit("animations", "channels", channels, CHANNELS_MAX)?;
    for (number, animation) in document.animations.iter().enumerate() {
        for (place, channel) in animation.channels.iter().enumerate() {
            let Some(node) = channel.target.node else { continue };
            let at = format!("animations[{number}].channels[{place}]");
            item(&document.nodes, "nodes", node, &at)?;
            let sampler = item(&animation.samplers, "samplers", channel.sampler, &at)?;
            let moved = &mut moved[node as usize];
            match channel.target.path.as_str() {
                "translation" if moved.translation.is_none() => {
                    moved.translation = Some(vector(reader, sampler, time, mix, &at)?);
                }
                "scale" if moved.scale.is_none() => moved.scale = Some(vector(reader, sampler, time, mix, &at)?),
                "rotation" if moved.rotation.is_none() => {
                    moved.rotation = Some(vector(reader, sampler, time, slerp, &at)?);
                }
                "weights" if moved.weights.is_none() => moved.weights = Some(weights(reader, sampler, time, &at)?),
                "translation" | "scale" | "rotation" | "weights" => {} // an earlier animation drives it
                path => return Err(ImportError::invalid(at, format!("{path:?} cannot be animated"))),
            }
        }
    }
    Ok(moved)
}

fn mix<const N: usize>(from: [f64; N], to: [f64; N], at: f64) -> [f64; N] {
    std::array::from_fn(|place| from[place] + (to[place] - from[place]) * at)
}

/// A place between two keys.
struct Between {
    first: usize,
    second: usize,
    /// From 0 to 1.
    at: f64,
    /// Seconds between the two.
    seconds: f64,
}

fn between(
    reader: &Reader<'_>,
    sampler: &AnimationSampler,
    time: f64,
    at: &str,
) -> Result<(usize, Between), ImportError> {
    let keys = reader.floats::<1>(sampler.input, at)?;
    if keys.is_empty() || !keys.iter().all(|key| key[0].is_finite()) || !keys.is_sorted_by(|a, b| a[0] < b[0]) {
        return Err(ImportError::invalid(at, "its times are not ever larger finite numbers"));
    }
    let second = keys.partition_point(|key| f64::from(key[0]) <= time);
    let (first, second) = (second.saturating_sub(1), second.min(keys.len() - 1));
    let (from, to) = (f64::from(keys[first][0]), f64::from(keys[second][0]));
    let seconds = to - from;
    let at = if seconds > 0.0 { ((time - from) / seconds).clamp(0.0, 1.0) } else { 0.0 };
    Ok((keys.len(), Between { first, second, at, seconds }))
}

fn wrong_count(at: &str, found: usize, keys: usize) -> ImportError {
    ImportError::invalid(at, format!("{found} values do not fit {keys} times"))
}

fn vector<const N: usize>(
    reader: &Reader<'_>,
    sampler: &AnimationSampler,
    time: f64,
    mix: fn([f64; N], [f64; N], f64) -> [f64; N],
    at: &str,
) -> Result<[f64; N], ImportError> {
    let (keys, between) = between(reader, sampler, time, at)?;
    let values = reader.floats::<N>(sampler.output, at)?;
    let cubic = sampler.interpolation == Interpolation::CubicSpline;
    if values.len() != keys * if cubic { 3 } else { 1 } {
        return Err(wrong_count(at, values.len(), keys));
    }
    let value = |place: usize| double(values[place]);
    let sample = match sampler.interpolation {
        Interpolation::Step => value(if between.at < 1.0 { between.first } else { between.second }),
        Interpolation::Linear => mix(value(between.first), value(between.second), between.at),
        Interpolation::CubicSpline => {
            let [from, leaving] = [value(3 * between.first + 1), value(3 * between.first + 2)];
            let [arriving, to] = [value(3 * between.second), value(3 * between.second + 1)];
            std::array::from_fn(|part| hermite(from[part], leaving[part], arriving[part], to[part], &between))
        }
    };
    if sample.iter().all(|part| part.is_finite()) {
        Ok(sample)
    } else {
        Err(ImportError::invalid(at, "its values are not finite"))
    }
}

fn weights(reader: &Reader<'_>, sampler: &AnimationSampler, time: f64, at: &str) -> Result<Vec<f64>, ImportError> {
    let (keys, between) = between(reader, sampler, time, at)?;
    let values = reader.floats::<1>(sampler.output, at)?;
    let cubic = sampler.interpolation == Interpolation::CubicSpline;
    let sets = keys * if cubic { 3 } else { 1 };
    if values.is_empty() || values.len() % sets != 0 {
        return Err(wrong_count(at, values.len(), keys));
    }
    let width = values.len() / sets;
    let value = |set: usize, target: usize| f64::from(values[set * width + target][0]);
    let sample = |target: usize| match sampler.interpolation {
        Interpolation::Step => value(if between.at < 1.0 { between.first } else { between.second }, target),
        Interpolation::Linear => mix([value(between.first, target)], [value(between.second, target)], between.at)[0],
        Interpolation::CubicSpline => {
            let [from, leaving] = [value(3 * between.first + 1, target), value(3 * between.first + 2, target)];
            let [arriving, to] = [value(3 * between.second, target), value(3 * between.second + 1, target)];
            hermite(from, leaving, arriving, to, &between)
        }
    };
    Ok((0..width).map(sample).collect())
}

/// glTF's cubic spline: values and their changes a second at both ends.
fn hermite(from: f64, leaving: f64, arriving: f64, to: f64, between: &Between) -> f64 {
    let (t, seconds) = (between.at, between.seconds);
    let (t2, t3) = (t * t, t * t * t);
    (2.0 * t3 - 3.0 * t2 + 1.0) * from
        + seconds * (t3 - 2.0 * t2 + t) * leaving
        + (3.0 * t2 - 2.0 * t3) * to
        + seconds * (t3 - t2) * arriving
}
