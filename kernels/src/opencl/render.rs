//! The renderer's kernel on a device: compiled for its kind, holding one scene, rendering elements of one picture.

use std::ffi::CString;

use lode_kinds::render::{BLOCK_PIXELS, Scene, Settings};
use ocl::Result;
use ocl::core::{self, ArgVal, DeviceInfo as Ask, DeviceInfoResult as Answer, Kernel, MemFlags};
use ocl::flags::DeviceFpConfig;

use super::{Found, Handles, one_at_a_time, one_line};
use crate::backend::DeviceError;
use crate::source::RENDER;

/// Work items in a group.
const GROUP: usize = 64;

/// What single precision has to be like for the kernel to compute what the reference computes.
const NEEDED: [(DeviceFpConfig, &str); 3] = [
    (DeviceFpConfig::FMA, "fused multiply-add"),
    (DeviceFpConfig::DENORM, "denormal numbers"),
    (DeviceFpConfig::CORRECTLY_ROUNDED_DIVIDE_SQRT, "correctly rounded division"),
];

/// A device with the renderer's kernel and a scene.
pub struct Renderer {
    handles: Handles,
    kernel: Kernel,
    settings: Settings,
    /// Held as long as the kernel may read it.
    _scene: core::Mem,
}

impl Renderer {
    /// Compiles the kernel and copies the scene to the device. `lanes` is 8 or 1: how many boxes and triangles a ray is
    /// tested against at once; CPUs like 8. The results do not depend on it.
    ///
    /// # Errors
    /// When the device cannot compute as the reference does, or the driver refuses.
    pub fn new(found: &Found, scene: &Scene, settings: Settings, lanes: u32) -> std::result::Result<Self, DeviceError> {
        let fail = |reason: String| DeviceError { device: found.info.id(), reason };
        let _setup = one_at_a_time();
        if let Some(missing) = missing(found) {
            return Err(fail(format!("the device has no {missing} in single precision")));
        }
        Self::load(found, scene, settings, lanes).map_err(|error| fail(one_line(&error)))
    }

    fn load(found: &Found, scene: &Scene, settings: Settings, lanes: u32) -> Result<Self> {
        let handles = Handles::new(found, None)?;
        let text = CString::new(RENDER.text).expect("a source has no zero byte");
        let options = format!("-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt -D VEC={lanes}");
        let options = CString::new(options).expect("options have no zero byte");
        let program = core::create_program_with_source(&handles.context, &[text])?;
        core::build_program(&program, Some(&[handles.device]), &options, None, None)?;
        let kernel = core::create_kernel(&program, RENDER.entry)?;
        let words = scene.words();
        let flags = MemFlags::new().read_only().copy_host_ptr();
        // SAFETY: the driver copies the words, and as many as there are, before it returns.
        let scene = unsafe { core::create_buffer(&handles.context, flags, words.len(), Some(words))? };
        core::set_kernel_arg(&kernel, 0, ArgVal::mem(&scene))?;
        let words = settings.words();
        // SAFETY: the kernel's second argument is a struct of exactly these words; the driver copies them.
        let argument = unsafe { ArgVal::from_raw(size_of_val(&words), words.as_ptr().cast(), false) };
        core::set_kernel_arg(&kernel, 1, argument)?;
        Ok(Self { handles, kernel, settings, _scene: scene })
    }

    /// The numbers of `count` elements from `first` on, one element after the other.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If there are no such elements.
    pub fn render(&mut self, first: u32, count: u32) -> std::result::Result<Vec<f32>, DeviceError> {
        let last = u64::from(first) + u64::from(count);
        assert!(count > 0 && last <= u64::from(self.settings.elements()), "elements {first} to {last}");
        let fail = |error: ocl::OclCoreError| DeviceError { device: self.handles.info.id(), reason: one_line(&error) };
        self.run(first, count).map_err(fail)
    }

    fn run(&self, first: u32, count: u32) -> core::Result<Vec<f32>> {
        let Handles { context, queue, .. } = &self.handles;
        let mut numbers = vec![0.0_f32; count as usize * self.settings.element_numbers()];
        let flags = MemFlags::new().write_only();
        // SAFETY: no host memory is given.
        let out = unsafe { core::create_buffer::<_, f32>(context, flags, numbers.len(), None)? };
        core::set_kernel_arg(&self.kernel, 2, ArgVal::scalar(&first))?;
        core::set_kernel_arg(&self.kernel, 3, ArgVal::scalar(&count))?;
        core::set_kernel_arg(&self.kernel, 4, ArgVal::mem(&out))?;
        let items = count as usize * BLOCK_PIXELS as usize;
        // SAFETY: the arguments are those of the kernel's signature. Each of its items reads the scene, in which every
        // index was checked, and writes its own numbers, for which `out` has room.
        unsafe {
            let group = Some([GROUP, 1, 1]);
            core::enqueue_kernel(queue, &self.kernel, 1, None, &[items, 1, 1], group, None::<()>, None::<()>)?;
            core::enqueue_read_buffer(queue, &out, true, 0, &mut numbers[..], None::<()>, None::<()>)?;
        }
        Ok(numbers)
    }
}

/// What the device's single precision lacks.
fn missing(found: &Found) -> Option<&'static str> {
    let has = match core::get_device_info(found.device, Ask::SingleFpConfig) {
        Ok(Answer::SingleFpConfig(has)) => has,
        _ => DeviceFpConfig::empty(),
    };
    NEEDED.iter().find(|(need, _)| !has.contains(*need)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use lode_kinds::render::{Aovs, build, render_element, samples};

    use super::*;

    #[test]
    fn every_device_renders_what_the_reference_renders() {
        let devices = match super::super::find() {
            Ok(devices) => devices,
            Err(reason) => {
                println!("SKIPPED: {reason}");
                return;
            }
        };
        let aovs = Aovs { albedo: true, normal: true, depth: true };
        let featured = Settings::new([40, 24], 5, 2, 6, 11, aovs).expect("in range");
        let boxed = Settings::new([32, 32], 4, 4, 8, 1, Aovs::default()).expect("in range");
        for (model, settings) in [(samples::every_feature(), featured), (samples::cornell_box(), boxed)] {
            let scene = Scene::parse(&build(&model).expect("it can be built")).expect("it is a scene");
            let (first, count) = (1, settings.elements() - 1);
            let expected: Vec<f32> =
                (first..first + count).flat_map(|element| render_element(&scene, &settings, element)).collect();
            for found in &devices {
                for lanes in [1, 8] {
                    let mut renderer = match Renderer::new(found, &scene, settings, lanes) {
                        Ok(renderer) => renderer,
                        Err(error) => {
                            println!("SKIPPED: {error}");
                            continue;
                        }
                    };
                    let got = renderer.render(first, count).expect("the device renders");
                    let differ = got.iter().zip(&expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
                    assert_eq!((differ, got.len()), (0, expected.len()), "{:?}, {lanes} lanes", found.info());
                }
            }
        }
    }
}
