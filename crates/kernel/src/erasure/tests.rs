use std::sync::OnceLock;

use proptest::prelude::*;
use wasmtime::{Engine, Instance, Module, Store, Val};

use super::*;
use crate::engine::{EngineOptions, Metering, engine};

fn native() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let options = EngineOptions { metering: Metering::Off, guests_max: None, cache: None };
    ENGINE.get_or_init(|| engine(options).unwrap())
}

/// A counted module that is called function by function.
struct Running {
    store: Store<()>,
    instance: Instance,
}

impl Running {
    fn of(wasm: &[u8]) -> Self {
        let module = Module::new(native(), wasm).unwrap();
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        Self { store, instance }
    }

    fn counted(text: &str) -> Self {
        Self::of(&rewrite(&wat::parse_str(text).unwrap()).unwrap().expect("a module to count").wasm)
    }

    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, String> {
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let arguments: Vec<Val> =
            arguments.iter().map(|&argument| Val::I32(argument.cast_signed())).collect();
        let results = function.ty(&self.store).results().len();
        let mut answers = vec![Val::I32(0); results];
        function
            .call(&mut self.store, &arguments, &mut answers)
            .map_err(|error| format!("{error:#}"))?;
        Ok(answers.first().and_then(Val::i32).map(i32::cast_unsigned))
    }

    fn freed(&mut self) -> i64 {
        let counter = self.instance.get_global(&mut self.store, FREED_EXPORT).unwrap();
        counter.get(&mut self.store).i64().unwrap()
    }

    fn write(&mut self, at: usize, word: u64) {
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        memory.write(&mut self.store, at, &word.to_le_bytes()).unwrap();
    }

    fn memory(&mut self) -> Vec<u8> {
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        memory.data(&self.store).to_vec()
    }
}

/// dlmalloc's way of reading a chunk; `realloc` answers what the test has put at address 0 and frees
/// the old block itself when the new size is 7.
const DLMALLOC: &str = r#"(module
    (memory (export "memory") 1)
    (func $dlfree (param i32) (local i32)
        local.get 0
        i32.const 65536
        i32.gt_u
        if return end
        local.get 0
        i32.const 8
        i32.lt_u
        if return end
        local.get 0
        i32.const -4
        i32.add
        i32.load
        local.tee 1
        i32.const -8
        i32.and
        drop)
    (func (export "free") (param i32)
        local.get 0
        call $dlfree)
    (func (export "realloc") (param i32 i32) (result i32)
        local.get 1
        i32.const 7
        i32.eq
        if (result i32)
            local.get 0
            call $dlfree
            i32.const 0
            local.set 0
            i32.const 0
            i32.load
            br 1
        else
            block
                local.get 1
                i32.const 9
                i32.eq
                br_if 0
                i32.const 12345
                local.set 0
                i32.const 0
                i32.load
                return
            end
            i32.const 0
            i32.load
        end))"#;

/// A block of dlmalloc in use, with `size` usable bytes.
fn chunk(size: u32) -> u64 {
    u64::from((size + 4) | 3) << 32
}

#[test]
fn dlmalloc_frees_are_counted_once() {
    let mut guest = Running::counted(DLMALLOC);
    guest.write(992, chunk(60));
    guest.call("free", &[1000]).unwrap();
    assert_eq!(guest.freed(), 60, "`free` calls `dlfree`: the innermost counts");
    guest.call("free", &[0]).unwrap();
    assert_eq!(guest.freed(), 60, "null frees nothing");
    guest.write(992, u64::from(64u32) << 32);
    guest.call("free", &[1000]).unwrap();
    assert_eq!(guest.freed(), 60, "a chunk that is not in use frees nothing");
}

/// Goal: `realloc` counts what shrinks or moves, once. Method: every kind of answer, by every way
/// out of the function.
#[test]
fn realloc_counts_what_shrinks_or_moves() {
    for new_size in [7, 9, 11] {
        let mut guest = Running::counted(DLMALLOC);
        let mut expected = 0;
        guest.write(992, chunk(1020));
        // It moved.
        guest.write(0, 2000);
        assert_eq!(guest.call("realloc", &[1000, new_size]), Ok(Some(2000)));
        expected += 1020;
        assert_eq!(guest.freed(), expected, "moved, new size {new_size}");
        // It stayed and grew, or stayed as it is; size 7 frees by itself.
        guest.write(0, 1000);
        assert_eq!(guest.call("realloc", &[1000, new_size]), Ok(Some(1000)));
        expected += if new_size == 7 { 1020 } else { 0 };
        assert_eq!(guest.freed(), expected, "stayed, new size {new_size}");
        // It was refused.
        guest.write(0, 0);
        assert_eq!(guest.call("realloc", &[1000, new_size]), Ok(Some(0)));
        expected += if new_size == 7 { 1020 } else { 0 };
        assert_eq!(guest.freed(), expected, "refused, new size {new_size}");
        // Null allocates.
        guest.write(0, 3000);
        assert_eq!(guest.call("realloc", &[0, new_size]), Ok(Some(3000)));
        assert_eq!(guest.freed(), expected, "from null, new size {new_size}");
    }
    let mut guest = Running::counted(DLMALLOC);
    guest.write(992, chunk(1020));
    guest.write(0, 0);
    guest.call("realloc", &[1000, 0]).unwrap();
    assert_eq!(guest.freed(), 1020, "size zero frees");
}

#[test]
fn sizes_come_from_arguments_where_there_are_some() {
    let mut guest = Running::counted(
        r#"(module (memory (export "memory") 1)
            (func $_RNvCs1234_7___rustc14___rust_dealloc (export "a") (param i32 i32 i32))
            (func $__rdl_realloc (export "b") (param i32 i32 i32 i32) (result i32) local.get 0)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 512))"#,
    );
    guest.call("a", &[16, 100, 8]).unwrap();
    guest.call("a", &[0, 100, 8]).unwrap();
    assert_eq!(guest.freed(), 100);
    guest.call("b", &[16, 100, 8, 30]).unwrap();
    guest.call("b", &[16, 100, 8, 300]).unwrap();
    assert_eq!(guest.freed(), 170, "in place: only what shrinks");
    guest.call("cabi_realloc", &[256, 40, 8, 80]).unwrap();
    guest.call("cabi_realloc", &[0, 0, 8, 80]).unwrap();
    assert_eq!(guest.freed(), 210);
    guest.call("a", &[16, u32::MAX, 8]).unwrap();
    assert_eq!(guest.freed(), 210, "no block is larger than memory");
}

#[test]
fn other_layouts_are_recognised() {
    let zig = r#"(module (memory (export "memory") 1)
        (func (export "free") (param i32)
            local.get 0
            if local.get 0 i32.const -8 i32.add i64.load i64.const 5 i64.shr_u drop end))"#;
    let mut guest = Running::counted(zig);
    guest.write(992, 333 << 5 | 4);
    guest.call("free", &[1000]).unwrap();
    assert_eq!(guest.freed(), 333);

    let mut guest = Running::counted(
        r#"(module (memory (export "memory") 1) (func (export "emmalloc_free") (param i32)))"#,
    );
    guest.write(992, 72 << 32);
    guest.call("emmalloc_free", &[1000]).unwrap();
    guest.call("emmalloc_free", &[2000]).unwrap();
    assert_eq!(guest.freed(), 64);

    let mut guest = Running::counted(
        r#"(module (memory (export "memory") 1) (func (export "__free") (param i32)))"#,
    );
    guest.write(992, 51 << 32);
    guest.call("__free", &[1000]).unwrap();
    assert_eq!(guest.freed(), 48);

    let mut guest = Running::counted(
        r#"(module (memory (export "memory") 1)
            (func (export "malloc_usable_size") (param i32) (result i32) i32.const 24)
            (func (export "free") (param i32)))"#,
    );
    guest.call("free", &[1000]).unwrap();
    assert_eq!(guest.freed(), 24);
}

#[test]
fn tail_calls_and_exceptions_keep_their_meaning() {
    let mut guest = Running::counted(
        r#"(module (memory (export "memory") 1) (tag $t (param i32))
            (type $answer (func (param i32) (result i32)))
            (table 1 funcref) (elem (i32.const 0) $answer)
            (func $answer (param i32) (result i32) local.get 0)
            (func (export "__rust_realloc") (param i32 i32 i32 i32) (result i32)
                block $handler (result i32)
                    try_table (result i32) (catch $t $handler)
                        local.get 3
                        i32.const 5
                        i32.eq
                        if
                            i32.const 640
                            throw $t
                        end
                        local.get 3
                        i32.const 6
                        i32.eq
                        if
                            i32.const 704
                            i32.const 0
                            return_call_indirect (type $answer)
                        end
                        i32.const 768
                        return_call $answer
                    end
                end))"#,
    );
    for (new_size, answer) in [(5, 640), (6, 704), (7, 768)] {
        let before = guest.freed();
        assert_eq!(guest.call("__rust_realloc", &[64, 10, 1, new_size]), Ok(Some(answer)));
        assert_eq!(guest.freed(), before + 10);
    }
}

#[test]
fn modules_without_a_known_allocator_stay_as_they_are() {
    for text in [
        "(module)",
        r#"(module (memory 1) (func (export "_start")))"#,
        // Names of other types, a free of unknown layout, an import, no memory.
        r#"(module (memory 1) (func (export "free") (param i64)))"#,
        r#"(module (memory 1) (func (export "free") (param i32)))"#,
        r#"(module (import "maxwell" "free" (func $free (param i32))) (memory 1)
            (func (export "_start")))"#,
        r#"(module (func (export "__rust_dealloc") (param i32 i32 i32)))"#,
    ] {
        assert!(rewrite(&wat::parse_str(text).unwrap()).unwrap().is_none(), "{text}");
    }
}

/// Goal: everything but the counting functions is kept byte for byte. Method: bodies, names and
/// other custom sections are found again in the new module.
#[test]
fn the_rest_of_a_module_is_kept() {
    let wasm = wat::parse_str(DLMALLOC).unwrap();
    let rewritten = rewrite(&wasm).unwrap().unwrap();
    assert_eq!(rewritten.counted, ["dlfree", "realloc"]);
    assert_eq!(rewrite(&wasm).unwrap().unwrap().wasm, rewritten.wasm, "deterministic");
    assert_ne!(wasm, rewritten.wasm, "the key of the cache of compiled code changes");
    let customs = |wasm: &[u8]| -> Vec<Vec<u8>> {
        let payloads = wasmparser::Parser::new(0).parse_all(wasm);
        let sections = payloads.filter_map(|payload| payload.unwrap().as_section());
        sections.filter(|(id, _)| *id == 0).map(|(_, range)| wasm[range].to_vec()).collect()
    };
    assert_eq!(customs(&wasm), customs(&rewritten.wasm));
    // A module that is counted twice would have two counters of one name: it is refused.
    assert!(crate::admission::inspect(&rewritten.wasm).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Goal: whatever a guest passes to `free`, it behaves as before. Method: random words in
    /// memory and random pointers through the module as it was and as it is counted; equal answers,
    /// equal memory, and no call counts more than memory holds.
    #[test]
    fn hostile_pointers_change_nothing(
        words in prop::collection::vec((0usize..8191, any::<u64>()), 0..8),
        pointers in prop::collection::vec(
            prop_oneof![any::<u32>(), 0u32..16, 65_520u32..65_552, (0u32..8192).prop_map(|w| w * 8)], 1..8),
        sizes in prop::collection::vec(any::<u32>(), 8),
    ) {
        let wasm = wat::parse_str(DLMALLOC).unwrap();
        let (mut plain, mut counted) = (Running::of(&wasm), Running::counted(DLMALLOC));
        for &(at, word) in &words {
            plain.write(at * 8, word);
            counted.write(at * 8, word);
        }
        for (&pointer, &size) in pointers.iter().zip(&sizes) {
            let before = counted.freed();
            for (name, arguments) in [("free", &[pointer][..]), ("realloc", &[pointer, size])] {
                prop_assert_eq!(plain.call(name, arguments), counted.call(name, arguments));
            }
            let freed = counted.freed() - before;
            prop_assert!((0..=3 * 65_536).contains(&freed));
        }
        prop_assert_eq!(plain.memory(), counted.memory());
    }
}

/// A piece of code that takes nothing and leaves nothing, or leaves the function.
#[derive(Clone, Debug)]
enum Code {
    Nothing,
    SetParameter(u32, i32),
    Return,
    ReturnCall,
    ReturnCallIndirect,
    Branch(u32),
    Table(Vec<u32>),
    Unreachable,
    Throw,
    Memory,
    Vector,
    Block(Box<Code>),
    Loop(Box<Code>),
    If(Box<Code>, Box<Code>),
    Try(Box<Code>),
    Sequence(Vec<Code>),
}

fn code() -> impl Strategy<Value = Code> {
    let leaf = prop_oneof![
        Just(Code::Nothing),
        (0u32..2, any::<i32>()).prop_map(|(parameter, value)| Code::SetParameter(parameter, value)),
        Just(Code::Return),
        Just(Code::ReturnCall),
        Just(Code::ReturnCallIndirect),
        (0u32..6).prop_map(Code::Branch),
        prop::collection::vec(0u32..6, 1..4).prop_map(Code::Table),
        Just(Code::Unreachable),
        Just(Code::Throw),
        Just(Code::Memory),
        Just(Code::Vector),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|code| Code::Block(Box::new(code))),
            inner.clone().prop_map(|code| Code::Loop(Box::new(code))),
            (inner.clone(), inner.clone())
                .prop_map(|(yes, no)| Code::If(Box::new(yes), Box::new(no))),
            inner.clone().prop_map(|code| Code::Try(Box::new(code))),
            prop::collection::vec(inner, 0..4).prop_map(Code::Sequence),
        ]
    })
}

impl Code {
    /// Writes it as text; `depth` blocks are open around it, and the function's own label, which
    /// wants an answer, is the one behind them.
    fn write(&self, text: &mut String, depth: u32) {
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        match self {
            Self::Nothing => line("nop"),
            Self::SetParameter(parameter, value) => {
                line(&format!("i32.const {value} local.set {parameter}"));
            }
            Self::Return => line("local.get 1 return"),
            Self::ReturnCall => line("local.get 0 local.get 1 return_call $other"),
            Self::ReturnCallIndirect => {
                line("local.get 0 local.get 1 i32.const 0 return_call_indirect $second (type $t)");
            }
            Self::Branch(to) if *to >= depth => line(&format!("local.get 0 br {depth}")),
            Self::Branch(to) => line(&format!("local.get 0 br_if {to}")),
            Self::Table(labels) => {
                let labels = labels.iter().map(|&to| to.min(depth.saturating_sub(1)).to_string());
                if depth > 0 {
                    let labels = labels.collect::<Vec<_>>().join(" ");
                    line(&format!("local.get 1 br_table {labels}"));
                }
            }
            Self::Unreachable => line("local.get 1 if unreachable end"),
            Self::Throw => line("local.get 0 if throw $e end"),
            Self::Memory => {
                line("i32.const 64 i32.const 0 i32.const 8 memory.fill");
                line("i32.const 1 ref.func $other table.set $second");
            }
            Self::Vector => line("i32.const 16 v128.const i64x2 1 2 v128.store offset=32"),
            Self::Block(inner) => {
                line("block");
                inner.write(text, depth + 1);
                text.push_str("end\n");
            }
            Self::Loop(inner) => {
                line("block loop local.get $rounds i32.eqz br_if 1");
                line("local.get $rounds i32.const 1 i32.sub local.set $rounds");
                inner.write(text, depth + 2);
                text.push_str("br 1 end end\n");
            }
            Self::If(yes, no) => {
                line("local.get 0 if");
                yes.write(text, depth + 1);
                text.push_str("else\n");
                no.write(text, depth + 1);
                text.push_str("end\n");
            }
            Self::Try(inner) => {
                line("block try_table (catch_all 0)");
                inner.write(text, depth + 2);
                text.push_str("end end\n");
            }
            Self::Sequence(inner) => inner.iter().for_each(|code| code.write(text, depth)),
        }
    }
}

/// A module whose `realloc` runs `code`, with more of everything than most modules have.
fn module_with(code: &Code) -> String {
    let mut body = String::new();
    code.write(&mut body, 0);
    format!(
        r#"(module
            (type $t (func (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (table $first 2 funcref) (table $second 2 funcref)
            (tag $e)
            (global $g (export "g") (mut i32) (i32.const 1))
            (elem (table $second) (i32.const 0) func $other)
            (elem declare func $other)
            (func $malloc_usable_size (param i32) (result i32) i32.const 48)
            (func $other (type $t) local.get 1 i32.const 100 i32.lt_u
                if (result i32) local.get 0 else i32.const 4096 end)
            (func $realloc (export "f") (type $t) (local $rounds i32)
                i32.const 20 local.set $rounds
                {body}
                i32.const 2048)
            (data (i32.const 128) "data"))"#
    )
}

fn is_valid(wasm: &[u8]) -> Result<(), String> {
    let mut validator = wasmparser::Validator::new_with_features(crate::admission::features());
    validator.validate_all(wasm).map(|_| ()).map_err(|error| error.to_string())
}

/// The answer or the trap, memory afterwards, and what was counted.
fn bounded(
    wasm: &[u8],
    arguments: [u32; 2],
) -> (Result<Option<u32>, String>, Vec<u8>, Option<i64>) {
    let mut guest = Running::of(wasm);
    let answer = guest.call("f", &arguments);
    let has_counter = guest.instance.get_global(&mut guest.store, FREED_EXPORT).is_some();
    let freed = has_counter.then(|| guest.freed());
    (answer, guest.memory(), freed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Goal: the rewriting keeps the meaning of every way through a function. Method: random code
    /// (blocks, loops, tables of branches, returns, tail calls, exceptions, vectors, two tables) in
    /// a `realloc`; the same answers, traps and memory before and after.
    #[test]
    fn any_code_keeps_its_meaning(code in code(), arguments in [0u32..3000, 0u32..200]) {
        let wasm = wat::parse_str(module_with(&code)).unwrap();
        prop_assert_eq!(is_valid(&wasm), Ok(()));
        let rewritten = rewrite(&wasm).unwrap().expect("it has a realloc");
        prop_assert_eq!(&rewritten.counted, &["realloc"]);
        prop_assert_eq!(is_valid(&rewritten.wasm), Ok(()));
        let (plain, plain_memory, _) = bounded(&wasm, arguments);
        let (counted, counted_memory, freed) = bounded(&rewritten.wasm, arguments);
        prop_assert_eq!(&plain, &counted);
        prop_assert_eq!(plain_memory, counted_memory);
        let [pointer, new_size] = arguments;
        let moved = counted.is_ok_and(|answer| {
            answer != Some(pointer) && (answer != Some(0) || new_size == 0)
        });
        let expected = if moved && pointer >= 8 { 48 } else { 0 };
        prop_assert_eq!(freed, Some(expected));
    }
}

proptest! {
    /// Goal: bytes that are no module do not panic. Method: a valid module with bytes changed.
    #[test]
    fn torn_modules_do_not_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut wasm = wat::parse_str(DLMALLOC).unwrap();
        for (at, byte) in edits {
            let at = at.index(wasm.len());
            wasm[at] = byte;
        }
        if is_valid(&wasm).is_ok() && let Some(rewritten) = rewrite(&wasm).unwrap() {
            prop_assert_eq!(is_valid(&rewritten.wasm), Ok(()));
        }
        let _ = rewrite(&wasm);
        wasm.truncate(cut.index(wasm.len()));
        let _ = rewrite(&wasm);
    }
}
