//! The files of Debian's `assimp-testmodels`: real ones, and a dozen that are broken on purpose.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;

pub(crate) fn folder() -> Option<PathBuf> {
    let folder = Path::new("/usr/share/assimp/models/glTF2");
    if folder.is_dir() {
        return Some(folder.to_owned());
    }
    eprintln!("SKIPPED: {} is not there (Debian: assimp-testmodels)", folder.display());
    None
}

/// A .gltf as a .glb: the first buffer's file becomes the binary chunk, images' files become `data:` URIs. A file that
/// is missing stays a reference to it.
fn embedded(path: &Path) -> Vec<u8> {
    use base64::Engine as _;
    let text = fs::read(path).expect("a file of the package");
    let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(&text) else { return pack(&text, &[]) };
    let dir = path.parent().expect("a folder");
    for list in ["buffers", "images"] {
        for item in json.get_mut(list).and_then(|list| list.as_array_mut()).into_iter().flatten() {
            let Some(uri) = item.get("uri").and_then(|uri| uri.as_str()) else { continue };
            if let Ok(bytes) = fs::read(dir.join(uri)) {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                item["uri"] = json!(format!("data:application/octet-stream;base64,{text}"));
            }
        }
    }
    pack(json.to_string().as_bytes(), &[])
}

/// A file of the package as a .glb.
pub(crate) fn file(path: &Path) -> Vec<u8> {
    if path.extension().is_some_and(|extension| extension == "glb") {
        fs::read(path).expect("a file of the package")
    } else {
        embedded(path)
    }
}

fn outcome(path: &Path) -> Result<Imported, ImportError> {
    import(&file(path))
}

/// The files that are broken on purpose and cannot be rendered, with a part of what is said of each.
pub(crate) const BROKEN: [(&str, &str); 15] = [
    ("BoxWithInfinites-glTF-Binary/BoxWithInfinites.glb", "is not finite"),
    ("IndexOutOfRange/AllIndicesOutOfRange.gltf", "of 24 vertices"),
    ("IndexOutOfRange/IndexOutOfRange.gltf", "of 24 vertices"),
    ("MissingBin/BoxTextured.gltf", "is another file"),
    ("RecursiveNodes/RecursiveNodes.gltf", "reached twice"),
    ("SchemaFailures/sceneWrongType.gltf", "JSON at scene"),
    ("TestNoRootNode/NoScene.gltf", "there is no scene"),
    ("TestNoRootNode/SceneWithoutNodes.gltf", "it has no triangles"),
    ("draco/2CylinderEngine.gltf", "requires KHR_draco_mesh_compression"),
    ("wrongTypes/badArray.gltf", "JSON at"),
    ("wrongTypes/badExtension.gltf", "JSON at"),
    ("wrongTypes/badNumber.gltf", "JSON at"),
    ("wrongTypes/badObject.gltf", "JSON at"),
    ("wrongTypes/badString.gltf", "JSON at"),
    ("wrongTypes/badUint.gltf", "JSON at"),
];

#[test]
fn files_that_are_broken_on_purpose_are_told_or_sound() {
    let Some(folder) = folder() else { return };
    for (name, wanted) in BROKEN {
        let text = match outcome(&folder.join(name)) {
            Ok(_) => panic!("{name} is imported"),
            Err(error) => error.to_string(),
        };
        assert!(text.contains(wanted), "{name}: {text}\nwanted: {wanted}");
    }
    let sound = ["BoxBadNormals-glTF-Binary/BoxBadNormals.glb"];
    for name in sound {
        assert_sound(&outcome(&folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
}

#[test]
fn real_files_have_the_triangles_they_should() {
    let Some(folder) = folder() else { return };
    let counts = [
        ("2CylinderEngine-glTF-Binary/2CylinderEngine.glb", 121_496, 34, 0),
        ("ClearCoat-glTF/ClearCoatTest.gltf", 37_116, 19, 5),
        ("BoxTextured-glTF-Binary/BoxTextured.glb", 12, 1, 1),
        ("BoxTextured-glTF-Embedded/BoxTextured.gltf", 12, 1, 1),
        ("textureTransform/TextureTransformTest.gltf", 24, 9, 5),
    ];
    for (name, triangles, materials, textures) in counts {
        let imported = outcome(&folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_sound(&imported);
        let model = &imported.model;
        let found = (model.triangles.len(), model.materials.len(), model.textures.len());
        assert_eq!(found, (triangles, materials, textures), "{name}");
    }
}

#[test]
fn textures_are_turned_as_the_standards_test_wants() {
    let Some(folder) = folder() else { return };
    let model = outcome(&folder.join("textureTransform/TextureTransformTest.gltf")).expect("a scene").model;
    // Its markers stand on these places of the squares, where the arrow's tip, on the picture's diagonal, should be seen.
    for (material, [u, v]) in [(3, [0.420_95, 1.016_27]), (4, [0.518_5, 0.518_5]), (5, [0.43, 0.75])] {
        let used = model.materials[material].base_color_texture.expect("an arrow");
        let [x, y] = used.transform.map(|[a, b, c]| a * u + b * v + c);
        assert!((x - y).abs() < 0.05 && (0.7..0.85).contains(&x), "material {material}: {x}, {y}");
    }
}

/// Every file of the package.
pub(crate) fn files(folder: PathBuf) -> Vec<PathBuf> {
    let (mut open, mut files) = (vec![folder], Vec::new());
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if path.is_dir() {
                open.push(path);
            } else if ["gltf", "glb"].contains(&extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_other_file_is_told_or_sound() {
    let Some(folder) = folder() else { return };
    let mut sound = 0;
    for path in files(folder) {
        match outcome(&path) {
            Ok(imported) => {
                assert_sound(&imported);
                sound += 1;
            }
            Err(error) => println!("{}: {error}", path.display()),
        }
    }
    assert!(sound >= 20, "{sound} files are sound");
}
