//! Stands where the OpenCL library would be linked, so that a machine without it still starts this program.
//!
//! The `ocl` crate links against `libOpenCL` and would make it a condition of starting. Here each of its functions is a jump
//! through a table instead, and [`load`] fills the table from the library that the machine has, if it has one. The build
//! script gives the linker an empty archive in the library's place. Nothing may be called before [`load`] has succeeded.
#![allow(unsafe_code)] // symbols of a foreign library

use std::arch::global_asm;
use std::error::Error;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use libloading::Library;

/// Names the library to load instead of the system's. For machines that keep it in an unusual place, and for tests.
pub const LIBRARY_VARIABLE: &str = "LODE_OPENCL_LIB";

const LIBRARY_NAMES: [&str; 2] = ["libOpenCL.so.1", "libOpenCL.so"];

/// Why no OpenCL library is in place.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be opened.
    #[error("no OpenCL library on this machine ({})", .0.source().map_or_else(|| .0.to_string(), ToString::to_string))]
    NotFound(#[source] libloading::Error),
    /// It can be opened, but lacks a function that every OpenCL 1.2 library has.
    #[error("the OpenCL library lacks {0}: it is older than OpenCL 1.2")]
    Incomplete(&'static str),
}

/// Opens the library once and for all; later calls repeat the first one's answer.
///
/// # Errors
/// When there is none, or one that is too old.
pub fn load() -> Result<(), &'static LoadError> {
    static LOADED: OnceLock<Result<(), LoadError>> = OnceLock::new();
    LOADED.get_or_init(open).as_ref().copied()
}

fn open() -> Result<(), LoadError> {
    let library = open_any()?;
    for (slot, (name, required)) in TABLE.iter().zip(FUNCTIONS) {
        // SAFETY: only the address is taken; what is called through it is declared by the crate that calls.
        match unsafe { library.get::<*mut ()>(name) } {
            Ok(function) => slot.store(*function, Ordering::Release),
            Err(_) if required => return Err(LoadError::Incomplete(name)),
            Err(_) => {}
        }
    }
    std::mem::forget(library); // the table points into it for as long as the program runs
    Ok(())
}

fn open_any() -> Result<Library, LoadError> {
    let names = match std::env::var_os(LIBRARY_VARIABLE) {
        Some(path) => vec![PathBuf::from(path)],
        None => LIBRARY_NAMES.map(PathBuf::from).to_vec(),
    };
    let mut first_failure = None;
    for name in names {
        // SAFETY: an OpenCL loader's initialisers are as safe as those of any library that programs link against.
        match unsafe { Library::new(name) } {
            Ok(library) => return Ok(library),
            Err(error) => first_failure = first_failure.or(Some(error)),
        }
    }
    Err(LoadError::NotFound(
        first_failure.expect("at least one name was tried"),
    ))
}

/// What the table holds until it is filled, and for functions that the library lacks and that we never call.
extern "C" fn absent() -> ! {
    panic!("an OpenCL function was called that this machine's library does not have");
}

/// Makes, from the names, the jump table, the names to fill it by and the functions that jump through it.
macro_rules! jump_table {
    (required: $($required:ident)* ; optional: $($optional:ident)* ;) => {
        #[expect(non_camel_case_types, reason = "the functions' own names")]
        #[derive(Clone, Copy)]
        enum Function { $($required,)* $($optional,)* Count }

        const COUNT: usize = Function::Count as usize;

        const FUNCTIONS: [(&str, bool); COUNT] =
            [$((stringify!($required), true),)* $((stringify!($optional), false),)*];

        static TABLE: [AtomicPtr<()>; COUNT] = [const { AtomicPtr::new(absent as *mut ()) }; COUNT];

        $(jump_table!(@jump $required);)*
        $(jump_table!(@jump $optional);)*
    };
    (@jump $name:ident) => {
        #[cfg(target_arch = "x86_64")]
        global_asm!(
            concat!(".globl ", stringify!($name)),
            concat!(".type ", stringify!($name), ", @function"),
            concat!(stringify!($name), ":"),
            "jmp qword ptr [rip + {table} + {offset}]",
            table = sym TABLE,
            offset = const Function::$name as usize * size_of::<AtomicPtr<()>>(),
        );
        #[cfg(target_arch = "aarch64")]
        global_asm!(
            concat!(".globl ", stringify!($name)),
            concat!(".type ", stringify!($name), ", %function"),
            concat!(stringify!($name), ":"),
            "adrp x16, {table} + {offset}",
            "ldr x16, [x16, :lo12:{table} + {offset}]",
            "br x16",
            table = sym TABLE,
            offset = const Function::$name as usize * size_of::<AtomicPtr<()>>(),
        );
    };
}

// Required: OpenCL 1.2. Optional: what later versions and the OpenGL extension add, what 1.2 deprecates.
jump_table! {
    required:
        clBuildProgram clCompileProgram clCreateBuffer clCreateCommandQueue clCreateContext clCreateContextFromType
        clCreateImage clCreateKernel clCreateKernelsInProgram clCreateProgramWithBinary
        clCreateProgramWithBuiltInKernels clCreateProgramWithSource clCreateSampler clCreateSubBuffer
        clCreateSubDevices clCreateUserEvent clEnqueueBarrierWithWaitList clEnqueueCopyBuffer clEnqueueCopyBufferRect
        clEnqueueCopyBufferToImage clEnqueueCopyImage clEnqueueCopyImageToBuffer clEnqueueFillBuffer
        clEnqueueFillImage clEnqueueMapBuffer clEnqueueMapImage clEnqueueMarkerWithWaitList clEnqueueMigrateMemObjects
        clEnqueueNDRangeKernel clEnqueueNativeKernel clEnqueueReadBuffer clEnqueueReadBufferRect clEnqueueReadImage
        clEnqueueUnmapMemObject clEnqueueWriteBuffer clEnqueueWriteBufferRect clEnqueueWriteImage clFinish clFlush
        clGetCommandQueueInfo clGetContextInfo clGetDeviceIDs clGetDeviceInfo clGetEventInfo clGetEventProfilingInfo
        clGetExtensionFunctionAddressForPlatform clGetImageInfo clGetKernelArgInfo clGetKernelInfo
        clGetKernelWorkGroupInfo clGetMemObjectInfo clGetPlatformIDs clGetPlatformInfo clGetProgramBuildInfo
        clGetProgramInfo clGetSamplerInfo clGetSupportedImageFormats clLinkProgram clReleaseCommandQueue
        clReleaseContext clReleaseDevice clReleaseEvent clReleaseKernel clReleaseMemObject clReleaseProgram
        clReleaseSampler clRetainCommandQueue clRetainContext clRetainDevice clRetainEvent clRetainKernel
        clRetainMemObject clRetainProgram clRetainSampler clSetEventCallback clSetKernelArg
        clSetMemObjectDestructorCallback clSetUserEventStatus clUnloadPlatformCompiler clWaitForEvents;
    optional:
        clCloneKernel clCreateCommandQueueWithProperties clCreateFromGLBuffer clCreateFromGLRenderbuffer
        clCreateFromGLTexture clCreateFromGLTexture2D clCreateFromGLTexture3D clCreateImage2D clCreateImage3D
        clCreatePipe clCreateProgramWithIL clCreateSamplerWithProperties clEnqueueAcquireGLObjects clEnqueueBarrier
        clEnqueueMarker clEnqueueReleaseGLObjects clEnqueueSVMFree clEnqueueSVMMap clEnqueueSVMMemFill
        clEnqueueSVMMemcpy clEnqueueSVMMigrateMem clEnqueueSVMUnmap clEnqueueTask clEnqueueWaitForEvents
        clGetDeviceAndHostTimer clGetExtensionFunctionAddress clGetGLContextInfoKHR clGetGLObjectInfo
        clGetGLTextureInfo clGetHostTimer clGetKernelSubGroupInfo clGetPipeInfo clSVMAlloc clSVMFree
        clSetDefaultDeviceCommandQueue clSetKernelArgSVMPointer clSetKernelExecInfo clUnloadCompiler;
}
