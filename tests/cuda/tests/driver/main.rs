//! Programs on cudarc, each a process of its own that finds the stand-in as the driver.
#![allow(unsafe_code, reason = "launches are unsafe, and kernels here go wrong on purpose")]

mod kernels;
mod process;

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg, result, sys};
use cudarc::nvrtc::Ptx;

use crate::kernels::{GUARDED, NOTES, REVERSE, SLOW, STRAY, TWICE};
use crate::process::Program;

fn function(context: &Arc<CudaContext>, text: &str, name: &str) -> CudaFunction {
    context.load_module(Ptx::from_src(text)).expect("the module loads").load_function(name).expect("it has the kernel")
}

fn grid(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// `data[i] = 2 * data[i] + 1` for `count` numbers.
fn twice(stream: &Arc<CudaStream>, kernel: &CudaFunction, data: &mut cudarc::driver::CudaSlice<u32>, count: u32) {
    let mut launch = stream.launch_builder(kernel);
    launch.arg(data).arg(&count);
    // SAFETY: the kernel writes `count` numbers.
    unsafe { launch.launch(grid(count.div_ceil(64), 64)) }.expect("the launch is accepted");
}

#[test]
fn a_program_finds_its_devices() {
    let program = Program::new("a_program_finds_its_devices")
        .with("LODE_CUDA_DEVICES", "3")
        .with("LODE_CUDA_CC", "8.9")
        .with("LODE_CUDA_MEM_MIB", "100")
        .with("LODE_CUDA_PCI", "65");
    program.run(|| {
        assert_eq!(CudaContext::device_count(), Ok(3));
        let mut uuids = Vec::new();
        for ordinal in 0..3 {
            let context = CudaContext::new(ordinal).unwrap();
            context.set_blocking_synchronize().unwrap();
            assert_eq!(context.compute_capability(), Ok((8, 9)));
            assert_eq!(context.total_mem(), Ok(100 << 20));
            let bus = context.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID);
            assert_eq!(bus, Ok(65 + i32::try_from(ordinal).unwrap()));
            assert!(context.name().unwrap().contains("stand-in"));
            uuids.push(context.uuid().unwrap().bytes);
        }
        uuids.dedup();
        assert_eq!(uuids.len(), 3);
        assert!(CudaContext::new(3).is_err());
    });
}

#[test]
fn without_a_device_there_is_an_error_and_no_panic() {
    Program::new("without_a_device_there_is_an_error_and_no_panic").with("LODE_CUDA_DEVICES", "0").run(|| {
        let DriverError(code) = CudaContext::device_count().unwrap_err();
        assert_eq!(code, sys::CUresult::CUDA_ERROR_NO_DEVICE);
    });
}

#[test]
fn kernels_read_and_write_with_and_without_memory_pools() {
    for pools in ["0", "1"] {
        let program = Program::new("kernels_read_and_write_with_and_without_memory_pools");
        program.with("LODE_CUDA_POOLS", pools).run(|| {
            let context = CudaContext::new(0).unwrap();
            let stream = context.new_stream().unwrap();
            let kernel = function(&context, TWICE, "twice");
            let numbers: Vec<u32> = (0..1000).collect();
            let mut data = stream.clone_htod(&numbers).unwrap();
            twice(&stream, &kernel, &mut data, 1000);
            let doubled = stream.clone_dtoh(&data).unwrap();
            assert_eq!(doubled, (0..1000).map(|number| 2 * number + 1).collect::<Vec<u32>>());
            let zeros = stream.alloc_zeros::<u32>(10).unwrap();
            assert_eq!(stream.clone_dtoh(&zeros).unwrap(), [0; 10]);
        });
    }
}

#[test]
fn fresh_memory_is_poisoned() {
    Program::new("fresh_memory_is_poisoned").run(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        // SAFETY: any bits are a number.
        let fresh = unsafe { stream.alloc::<u32>(4) }.unwrap();
        assert_eq!(stream.clone_dtoh(&fresh).unwrap(), [0xa5a5_a5a5; 4]);
    });
}

#[test]
fn barriers_and_shared_memory_reverse_a_block() {
    Program::new("barriers_and_shared_memory_reverse_a_block").run(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let kernel = function(&context, REVERSE, "reverse");
        for threads in [1_u32, 32, 33, 200, 256] {
            let mut data = stream.clone_htod(&(0..threads * 3).collect::<Vec<u32>>()).unwrap();
            let mut launch = stream.launch_builder(&kernel);
            launch.arg(&mut data);
            // SAFETY: each block reverses its own numbers.
            unsafe { launch.launch(grid(3, threads)) }.unwrap();
            let expected: Vec<u32> =
                (0..3).flat_map(|block| (0..threads).rev().map(move |at| block * threads + at)).collect();
            assert_eq!(stream.clone_dtoh(&data).unwrap(), expected);
        }
    });
}

#[test]
fn occupancy_and_attributes_are_answered() {
    Program::new("occupancy_and_attributes_are_answered").run(|| {
        let context = CudaContext::new(0).unwrap();
        let kernel = function(&context, REVERSE, "reverse");
        assert_eq!(kernel.max_threads_per_block(), Ok(256));
        assert_eq!(kernel.shared_size_bytes(), Ok(1024));
        let active = kernel.occupancy_max_active_blocks_per_multiprocessor(256, 0, None).unwrap();
        assert_eq!(active, 6, "1536 threads of a multiprocessor");
        extern "C" fn none(_threads: i32) -> usize {
            0
        }
        let (blocks, threads) = kernel.occupancy_max_potential_block_size(none, 0, 0, None).unwrap();
        assert_eq!((blocks, threads), (6 * 4, 256));
    });
}

#[test]
fn module_variables_are_found_and_initialised() {
    Program::new("module_variables_are_found_and_initialised").run(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let module = context.load_module(Ptx::from_src(NOTES)).unwrap();
        assert_eq!(module.get_global("notes", &stream).unwrap().len(), 16);
        let kernel = module.load_function("play").unwrap();
        let mut out = stream.alloc_zeros::<u32>(4).unwrap();
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&mut out);
        // SAFETY: four threads write four numbers.
        unsafe { launch.launch(grid(1, 4)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [60, 62, 64, 165]);
    });
}

#[test]
fn a_copy_behind_a_slow_kernel_sees_its_result_and_calls_return_at_once() {
    Program::new("a_copy_behind_a_slow_kernel_sees_its_result_and_calls_return_at_once").run(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let slow = function(&context, SLOW, "slow");
        let mut out = stream.alloc_zeros::<u32>(1).unwrap();
        // SAFETY: it is written before it is read.
        let mut pinned = unsafe { context.alloc_pinned::<u32>(1) }.unwrap();
        pinned.as_mut_slice().unwrap()[0] = 0;
        stream.synchronize().unwrap();
        let event = context.new_event(None).unwrap();
        let rounds = 20_000_000_u32;
        let mut launch = stream.launch_builder(&slow);
        launch.arg(&mut out).arg(&rounds);
        // SAFETY: one thread writes one number.
        unsafe { launch.launch(grid(1, 1)) }.unwrap();
        stream.memcpy_dtoh(&out, &mut pinned).unwrap();
        event.record(&stream).unwrap();
        assert!(!event.is_complete(), "the kernel was waited for");
        event.synchronize().unwrap();
        assert!(event.is_complete());
        assert_eq!(pinned.as_slice().unwrap(), [rounds]);
    });
}

#[test]
fn two_streams_overlap() {
    Program::new("two_streams_overlap").run(|| {
        let context = CudaContext::new(0).unwrap();
        let (first, second) = (context.new_stream().unwrap(), context.new_stream().unwrap());
        let (slow, kernel) = (function(&context, SLOW, "slow"), function(&context, TWICE, "twice"));
        let mut out = first.alloc_zeros::<u32>(1).unwrap();
        let mut data = second.clone_htod(&[5_u32]).unwrap();
        context.synchronize().unwrap();
        let rounds = 20_000_000_u32;
        let mut launch = first.launch_builder(&slow);
        launch.arg(&mut out).arg(&rounds);
        // SAFETY: one thread writes one number.
        unsafe { launch.launch(grid(1, 1)) }.unwrap();
        let behind = first.record_event(None).unwrap();
        twice(&second, &kernel, &mut data, 1);
        assert_eq!(second.clone_dtoh(&data).unwrap(), [11]);
        assert!(!behind.is_complete(), "the second stream waited for the first");
        first.synchronize().unwrap();
    });
}

#[test]
fn pinned_memory_is_read_when_the_copy_is_done() {
    Program::new("pinned_memory_is_read_when_the_copy_is_done").run(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let slow = function(&context, SLOW, "slow");
        let mut out = stream.alloc_zeros::<u32>(1).unwrap();
        let mut data = stream.alloc_zeros::<u32>(2).unwrap();
        context.synchronize().unwrap();
        // SAFETY: the pointers are used as the driver asks, but for the early change that is the test.
        unsafe {
            let pinned = result::malloc_host(8, 0).unwrap().cast::<u32>();
            pinned.write(1);
            let rounds = 5_000_000_u32;
            let mut launch = stream.launch_builder(&slow);
            launch.arg(&mut out).arg(&rounds);
            launch.launch(grid(1, 1)).unwrap();
            let at = cudarc::driver::DevicePtrMut::device_ptr_mut(&mut data, &stream).0;
            let source = std::slice::from_raw_parts(pinned, 1);
            result::memcpy_htod_async(at, source, stream.cu_stream()).unwrap();
            let pageable = [1_u32];
            result::memcpy_htod_async(at + 4, &pageable, stream.cu_stream()).unwrap();
            pinned.write(2);
            stream.synchronize().unwrap();
            result::free_host(pinned.cast()).unwrap();
        }
        assert_eq!(stream.clone_dtoh(&data).unwrap(), [2, 1], "too early a change of pinned memory is seen");
    });
}

#[test]
fn a_stray_access_is_named_and_ends_the_context_until_it_is_made_anew() {
    let program = Program::new("a_stray_access_is_named_and_ends_the_context_until_it_is_made_anew");
    let log = program.run_expecting_errors(|| {
        for (offset, code) in [
            (400_u64, sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS),
            (6, sys::CUresult::CUDA_ERROR_MISALIGNED_ADDRESS),
            (u64::MAX - 3, sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS),
        ] {
            let context = CudaContext::new(0).unwrap();
            let stream = context.new_stream().unwrap();
            let kernel = function(&context, STRAY, "stray");
            let mut data = stream.alloc_zeros::<u32>(100).unwrap();
            let mut launch = stream.launch_builder(&kernel);
            launch.arg(&mut data).arg(&offset);
            // SAFETY: none; that is the test.
            unsafe { launch.launch(grid(2, 64)) }.unwrap();
            assert_eq!(stream.synchronize(), Err(DriverError(code)));
            assert_eq!(stream.alloc_zeros::<u32>(1).map(drop), Err(DriverError(code)), "it stays");
            drop((data, kernel, stream, context));
        }
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        assert_eq!(stream.clone_dtoh(&stream.clone_htod(&[7_u32]).unwrap()).unwrap(), [7]);
    });
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].starts_with("kernel stray: out-of-bounds access to 0x2"), "{log}");
    assert!(lines[0].contains("400 bytes into the block of 400 bytes"), "{log}");
    assert!(lines[0].contains("block (1, 0, 0) thread (3, 0, 0) at PTX line"), "{log}");
    assert!(lines[1].contains("misaligned"), "{log}");
}

#[test]
fn barrier_divergence_is_named() {
    let log = Program::new("barrier_divergence_is_named").run_expecting_errors(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let kernel = function(&context, GUARDED, "guarded");
        let limit = 40_u32;
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&limit);
        // SAFETY: it reads and writes nothing.
        unsafe { launch.launch(grid(1, 64)) }.unwrap();
        let failed = stream.synchronize();
        assert_eq!(failed, Err(DriverError(sys::CUresult::CUDA_ERROR_LAUNCH_FAILED)));
    });
    assert!(log.contains("kernel guarded: barrier divergence"), "{log}");
}

#[test]
fn misuse_of_memory_is_noted() {
    let log = Program::new("misuse_of_memory_is_noted").run_expecting_errors(|| {
        let context = CudaContext::new(0).unwrap();
        context.bind_to_thread().unwrap();
        // SAFETY: the driver looks at every pointer.
        unsafe {
            let memory = result::malloc_sync(64).unwrap();
            let mut out = [0_u8; 65];
            assert!(result::memcpy_dtoh_sync(&mut out, memory).is_err(), "one byte too many");
            result::free_sync(memory).unwrap();
            assert!(result::free_sync(memory).is_err(), "freed twice");
            assert!(result::memcpy_dtoh_sync(&mut out[..64], memory).is_err(), "read after it was freed");
            assert!(result::free_host(out.as_mut_ptr().cast()).is_err(), "not pinned");
        }
    });
    assert_eq!(log.lines().count(), 4, "{log}");
}

#[test]
fn memory_has_the_size_asked_for() {
    Program::new("memory_has_the_size_asked_for").with("LODE_CUDA_MEM_MIB", "1").run(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let half = stream.alloc_zeros::<u8>(600 << 10).unwrap();
        let full = stream.alloc_zeros::<u8>(600 << 10).map(drop);
        assert_eq!(full, Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)));
        assert_eq!(context.mem_get_info(), Ok((424 << 10, 1 << 20)));
        drop(half);
        stream.synchronize().unwrap();
        stream.alloc_zeros::<u8>(600 << 10).unwrap();
    });
}

#[test]
fn modules_that_a_card_would_not_take_are_refused() {
    let log = Program::new("modules_that_a_card_would_not_take_are_refused").run_expecting_errors(|| {
        let context = CudaContext::new(0).unwrap();
        let load = |text: &str| context.load_module(Ptx::from_src(text)).map(drop).map_err(|error| error.0);
        let head = ".version 8.0\n.target sm_75\n.address_size 64\n";
        let body = |line: &str| {
            format!("{head}.visible .entry k() {{\n.reg .f32 %f<4>;\n.reg .b32 %r<4>;\n{line}\nret;\n}}\n")
        };
        for line in
            ["sqrt.approx.f32 %f1, %f2;", "add.ftz.f32 %f1, %f2, %f3;", "frobnicate.u32 %r1, %r2;", "add.u32 %r1;"]
        {
            assert_eq!(load(&body(line)), Err(sys::CUresult::CUDA_ERROR_INVALID_PTX), "{line}");
        }
        assert_eq!(load(&body("add.u32 %r1, %r2, 5;")), Ok(()));
        let newer = TWICE.replace("sm_75", "sm_90");
        assert_eq!(load(&newer), Err(sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU));
        let newest = TWICE.replace(".version 8.1", ".version 9.5");
        assert_eq!(load(&newest), Err(sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION));
        let machine_code = Ptx::from_binary(b"\x7fELF and so on\0".to_vec());
        let refused = context.load_module(machine_code).map(drop).map_err(|error| error.0);
        assert_eq!(refused, Err(sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU));
    });
    assert_eq!(log.lines().count(), 4, "{log}");
    assert!(log.lines().all(|line| line.starts_with("PTX line 7: ")), "{log}");
}

#[test]
fn asked_faults_come_at_their_call_and_on_their_device() {
    let program = Program::new("asked_faults_come_at_their_call_and_on_their_device").with("LODE_CUDA_DEVICES", "2");
    program.with("LODE_CUDA_FAIL", "cuLaunchKernel:2:719@1,cuStreamCreate:*:2@0").run(|| {
        let first = CudaContext::new(0).unwrap();
        let full = sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY;
        assert_eq!(first.new_stream().map(drop), Err(DriverError(full)));
        assert_eq!(first.synchronize(), Ok(()), "this one passes by");
        let second = CudaContext::new(1).unwrap();
        let stream = second.new_stream().unwrap();
        let kernel = function(&second, TWICE, "twice");
        let mut data = stream.alloc_zeros::<u32>(1).unwrap();
        twice(&stream, &kernel, &mut data, 1);
        let count = 1_u32;
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&mut data).arg(&count);
        let failed = Err(DriverError(sys::CUresult::CUDA_ERROR_LAUNCH_FAILED));
        // SAFETY: the kernel writes one number.
        assert_eq!(unsafe { launch.launch(grid(1, 1)) }.map(drop), failed);
        assert_eq!(stream.synchronize(), failed, "it stays");
        assert_eq!(first.synchronize(), Ok(()), "the other device goes on");
        assert_eq!(format!("{:?}", DriverError(full)), "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
    });
}

#[test]
fn a_card_that_vanishes_does_not_come_back() {
    Program::new("a_card_that_vanishes_does_not_come_back").with("LODE_CUDA_VANISH", "0:2").run(|| {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let kernel = function(&context, TWICE, "twice");
        let mut data = stream.clone_htod(&[0_u32]).unwrap();
        twice(&stream, &kernel, &mut data, 1);
        twice(&stream, &kernel, &mut data, 1);
        assert_eq!(stream.clone_dtoh(&data).unwrap(), [3]);
        let count = 1_u32;
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&mut data).arg(&count);
        // SAFETY: the kernel writes one number.
        let failed = unsafe { launch.launch(grid(1, 1)) }.map(drop);
        assert_eq!(failed, Err(DriverError(sys::CUresult::CUDA_ERROR_UNKNOWN)));
        assert_eq!(stream.synchronize(), failed);
        drop((data, kernel, stream, context));
        assert_eq!(CudaContext::new(0).map(drop), Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)));
    });
}
