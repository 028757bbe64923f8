//! Cameras: one of the scene's, one of the sponsor's, or one that frames everything.

use super::accessor::Reader;
use super::affine::{add, cross, dot, scaled, single, sub, unit};
use super::error::{ImportError, finite, item};
use super::json::CameraType;
use super::light::{bounds, sphere};
use super::pose::{Placed, Pose};
use crate::render::model::{Camera, Triangle};
use crate::render::spec::CameraChoice;

/// Tangent of half of 40 degrees: the default angle of view.
const DEFAULT_TAN: f64 = 0.363_970_234_266_202_4;

/// A camera without its lens.
struct Stand {
    position: [f64; 3],
    forward: [f64; 3],
    right: [f64; 3],
    up: [f64; 3],
    tan_half_fov: f64,
}

/// A camera node of the scene.
struct Found<'a> {
    placed: Placed,
    camera: &'a super::json::Camera,
    node_name: Option<&'a str>,
}

/// The camera that was chosen. `lens` is the lens's radius and, if given, the distance of what is sharp (else the
/// middle of the scene is).
pub(super) fn camera(
    reader: &Reader<'_>,
    pose: &Pose,
    triangles: &[Triangle],
    choice: &CameraChoice,
    aspect: f32,
    lens: (f32, Option<f32>),
) -> Result<Camera, ImportError> {
    let positions = triangles.iter().flat_map(|triangle| triangle.vertices.iter().map(|vertex| vertex.position));
    let around = bounds(positions).unwrap_or_default();
    let stand = match choice {
        CameraChoice::Explicit { position, target, up, fov_degrees } => {
            let tan = (f64::from(*fov_degrees).to_radians() / 2.0).tan();
            look_at(position.map(f64::from), target.map(f64::from), up.map(f64::from), tan)
                .ok_or_else(|| ImportError::invalid("camera", "position, target and up give no direction of view"))?
        }
        choice => match pick(&cameras(reader, pose)?, choice)? {
            Some(stand) => stand,
            None => framing(around, f64::from(aspect)),
        },
    };
    let (middle, _) = sphere(around);
    let depth = dot(sub(middle, stand.position), stand.forward);
    let [focus] = single([if depth > 0.0 { depth } else { 1.0 }]);
    Ok(Camera {
        position: single(stand.position),
        right: single(stand.right),
        up: single(stand.up),
        forward: single(stand.forward),
        tan_half_fov: single([stand.tan_half_fov])[0],
        aperture: lens.0,
        focus: lens.1.unwrap_or(focus),
    })
}

fn cameras<'a>(reader: &Reader<'a>, pose: &Pose) -> Result<Vec<Found<'a>>, ImportError> {
    let document = reader.document;
    let mut found = Vec::new();
    for &placed in &pose.placed {
        let node = item(&document.nodes, "nodes", placed.node, "the scene's tree")?;
        if let Some(index) = node.camera {
            let camera = item(&document.cameras, "cameras", index, &super::pose::name(placed.node, node))?;
            found.push(Found { placed, camera, node_name: node.name.as_deref() });
        }
    }
    Ok(found)
}

fn pick(cameras: &[Found<'_>], choice: &CameraChoice) -> Result<Option<Stand>, ImportError> {
    let names = || cameras.iter().map(|found| found.node_name.or(found.camera.name.as_deref()).unwrap_or("(unnamed)"));
    let missing = |wanted: String| {
        let names: Vec<&str> = names().take(20).collect();
        let why = format!("there is no camera {wanted}; the scene has {}: {}", cameras.len(), names.join(", "));
        ImportError::invalid("camera", why)
    };
    let found = match choice {
        CameraChoice::Index(index) => Some(cameras.get(*index as usize).ok_or_else(|| missing(index.to_string()))?),
        CameraChoice::Name(wanted) => {
            let has = |found: &&Found<'_>| [found.node_name, found.camera.name.as_deref()].contains(&Some(wanted));
            Some(cameras.iter().find(has).ok_or_else(|| missing(format!("{wanted:?}")))?)
        }
        _ => cameras.iter().find(|found| found.camera.kind == CameraType::Perspective),
    };
    found.map(stand).transpose()
}

fn stand(found: &Found<'_>) -> Result<Stand, ImportError> {
    let at = format!("camera {:?}", found.node_name.or(found.camera.name.as_deref()).unwrap_or_default());
    if found.camera.kind == CameraType::Orthographic {
        return Err(ImportError::invalid(at, "orthographic cameras are not supported; choose a perspective one"));
    }
    let Some(perspective) = &found.camera.perspective else {
        return Err(ImportError::invalid(at, "its perspective is missing"));
    };
    let yfov = f64::from(finite(perspective.yfov, &at)?);
    if !(yfov > 0.0 && yfov < std::f64::consts::PI) {
        return Err(ImportError::invalid(at, format!("yfov {yfov} is not between 0 and pi")));
    }
    let world = found.placed.world;
    let position = world.position();
    let target = add(position, world.direction([0.0, 0.0, -1.0]));
    look_at(position, target, world.direction([0.0, 1.0, 0.0]), (yfov / 2.0).tan())
        .ok_or_else(|| ImportError::invalid(at, "its node gives no direction of view"))
}

fn look_at(position: [f64; 3], target: [f64; 3], up: [f64; 3], tan_half_fov: f64) -> Option<Stand> {
    let forward = unit(sub(target, position))?;
    let right = unit(cross(forward, up))?;
    Some(Stand { position, forward, right, up: cross(right, forward), tan_half_fov })
}

/// Looks from the front, a little from the right and above, with 40 degrees of view, so that the sphere around
/// everything just fits into the picture.
fn framing(around: [[f64; 3]; 2], aspect: f64) -> Stand {
    let (middle, radius) = sphere(around);
    let narrow = DEFAULT_TAN * aspect.min(1.0);
    let sine = narrow / (1.0 + narrow * narrow).sqrt();
    let away = unit([0.5, 0.35, 1.0]).unwrap_or([0.0, 0.0, 1.0]);
    let distance = if radius > 0.0 { 1.05 * radius / sine } else { 1.0 };
    let position = add(middle, scaled(away, distance));
    look_at(position, sub(position, away), [0.0, 1.0, 0.0], DEFAULT_TAN).unwrap_or(Stand {
        position,
        forward: [0.0, 0.0, -1.0],
        right: [1.0, 0.0, 0.0],
        up: [0.0, 1.0, 0.0],
        tan_half_fov: DEFAULT_TAN,
    })
}
