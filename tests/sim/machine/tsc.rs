//! The processor's time stamp counter, which some clocks read without asking libc.
//!
//! Simulated threads are not allowed to: the kernel turns the instruction into a fault, and the fault is answered with virtual
//! time. Other architectures have no such switch; there such a clock shows real time.

#[cfg(target_arch = "x86_64")]
mod trap {
    use crate::machine::scheduler::{inside, read_counter};
    use libc::{c_int, c_void, siginfo_t, ucontext_t};
    use std::{ptr::null_mut, sync::OnceLock};

    /// `rdtsc` and `rdtscp`.
    const READS: [&[u8]; 2] = [&[0x0f, 0x31], &[0x0f, 0x01, 0xf9]];
    const LOW_32_BITS: u64 = 0xffff_ffff;

    static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

    /// Makes the calling thread fault when it reads the counter.
    pub fn forbid() {
        BEFORE.get_or_init(|| {
            // SAFETY: a zeroed action is a valid one; the handler has the signature that SA_SIGINFO asks for.
            unsafe {
                let (mut action, mut before): (libc::sigaction, libc::sigaction) = std::mem::zeroed();
                action.sa_sigaction = handle as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                assert_eq!(libc::sigaction(libc::SIGSEGV, &raw const action, &raw mut before), 0);
                before
            }
        });
        // SAFETY: it changes a flag of the calling thread.
        let refused = unsafe { libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV) };
        assert_eq!(refused, 0, "the kernel cannot forbid the time stamp counter");
    }

    extern "C" fn handle(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the kernel hands a handler with SA_SIGINFO the context of the fault.
        let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
        let register = |name: c_int| usize::try_from(name).expect("registers are numbered from 0");
        let (rip, rax, rdx) = (register(libc::REG_RIP), register(libc::REG_RAX), register(libc::REG_RDX));
        let at = registers[rip] as *const u8;
        // SAFETY: the processor has just read the instruction there; the longer form is compared only after the shorter's
        // first byte, and code does not end within an instruction.
        let is_read = |code: &&&[u8]| code.iter().enumerate().all(|(i, byte)| unsafe { *at.add(i) } == *byte);
        let Some(read) = inside().then(|| READS.iter().find(is_read)).flatten() else {
            // A real fault: the instruction runs again under the handler that was there before.
            if let Some(before) = BEFORE.get() {
                // SAFETY: it is an action that the kernel returned.
                unsafe { libc::sigaction(libc::SIGSEGV, before, null_mut()) };
            }
            return;
        };
        let counter = read_counter();
        let signed = |word: u64| i64::try_from(word).expect("32 bits fit");
        registers[rax] = signed(counter & LOW_32_BITS);
        registers[rdx] = signed(counter >> 32);
        if read.len() == READS[1].len() {
            registers[register(libc::REG_RCX)] = 0;
        }
        registers[rip] += i64::try_from(read.len()).expect("two or three bytes");
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use trap::forbid;

/// There is no such switch.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn forbid() {}
