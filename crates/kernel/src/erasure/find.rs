//! Which functions of a module free memory, and what is known about their allocator.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{
    BinaryReaderError, DataKind, ExternalKind, FuncType, FunctionBody, KnownCustom, Name, Operator,
    Parser, Payload, TypeRef, ValType,
};

use super::size::Layout;

type Result<T> = std::result::Result<T, BinaryReaderError>;

/// Exports a module may have; two are added (the parser's own limit is one million).
const EXPORTS_MAX: u32 = 999_000;

/// Where the size of a block comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A parameter of the function.
    Parameter(u32),
    /// The block itself.
    Block,
}

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Frees the block at its first parameter.
    Free(Source),
    /// Changes the size of the block at its first parameter to its parameter `new_size`.
    Realloc { old_size: Source, new_size: u32 },
}

impl Role {
    fn is_free(self) -> bool {
        matches!(self, Self::Free(_))
    }

    fn asks_block(self) -> bool {
        matches!(self, Self::Free(Source::Block) | Self::Realloc { old_size: Source::Block, .. })
    }

    /// Parameters of a function that plays the role.
    pub(super) fn params(self) -> u32 {
        match self {
            Self::Free(Source::Block) => 1,
            Self::Realloc { old_size: Source::Block, .. } => 2,
            Self::Free(Source::Parameter(_)) => 3,
            Self::Realloc { old_size: Source::Parameter(_), .. } => 4,
        }
    }

    /// Whether a function of this type can play the role.
    fn fits(self, ty: &FuncType) -> bool {
        let all = ty.params().iter().chain(ty.results());
        ty.params().len() == self.params() as usize
            && ty.results().len() == usize::from(!self.is_free())
            && all.copied().all(|ty| ty == ValType::I32)
    }
}

const FREE: Role = Role::Free(Source::Block);
const REALLOC: Role = Role::Realloc { old_size: Source::Block, new_size: 1 };
const SIZED_FREE: Role = Role::Free(Source::Parameter(1));
const SIZED_REALLOC: Role = Role::Realloc { old_size: Source::Parameter(1), new_size: 3 };

/// What a name says: the role, and the allocator's layout where only one uses the name.
fn role_of(name: &str) -> Option<(Role, Option<Layout>)> {
    let known = match name {
        "free" | "dlfree" | "__libc_free" | "emscripten_builtin_free" => (FREE, None),
        "realloc" | "dlrealloc" | "__libc_realloc" | "emscripten_builtin_realloc" => {
            (REALLOC, None)
        }
        // The names that Zig's own C library gives them.
        "c.malloc.free" => (FREE, Some(Layout::Zig)),
        "c.malloc.realloc" => (REALLOC, Some(Layout::Zig)),
        "emmalloc_free" => (FREE, Some(Layout::Emmalloc)),
        "emmalloc_realloc" => (REALLOC, Some(Layout::Emmalloc)),
        "__free" | "~lib/rt/tlsf/__free" => (FREE, Some(Layout::AssemblyScript)),
        "__realloc" | "~lib/rt/tlsf/__realloc" => (REALLOC, Some(Layout::AssemblyScript)),
        "cabi_realloc" | "canonical_abi_realloc" => (SIZED_REALLOC, None),
        "__wbindgen_free" => (SIZED_FREE, None),
        _ => match rust_name(name)? {
            "__rust_dealloc" | "__rdl_dealloc" | "__rg_dealloc" => (SIZED_FREE, None),
            "__rust_realloc" | "__rdl_realloc" | "__rg_realloc" => (SIZED_REALLOC, None),
            _ => return None,
        },
    };
    Some(known)
}

/// The last part of a Rust symbol: plain, demangled, or mangled (`_R…14___rust_dealloc`).
fn rust_name(name: &str) -> Option<&str> {
    let last = name.rsplit("::").next().unwrap_or(name);
    if last.starts_with("__r") {
        return Some(last);
    }
    let at = if name.starts_with("_R") { name.rfind("__r")? } else { return None };
    name.get(at..)
}

/// What a module says about its allocator.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    types: Vec<FuncType>,
    /// Functions imported.
    imported: u32,
    /// Types of the functions defined.
    functions: Vec<u32>,
    /// Globals defined; none can be imported.
    pub(super) globals: u32,
    has_memory: bool,
    exports: u32,
    imports_discard: bool,
    /// First byte behind the last data segment; `None` when that is not plain.
    image_end: Option<u64>,
    roles: BTreeMap<u32, (Role, String)>,
    named_layouts: BTreeMap<u32, Layout>,
    usable_size: Option<u32>,
    bodies: BTreeMap<u32, FunctionBody<'a>>,
}

/// What to rewrite, and how.
#[derive(Debug)]
pub(super) struct Plan {
    /// Roles of the functions that count, by index.
    pub(super) counted: BTreeMap<u32, Role>,
    /// Where sizes come from that are no argument.
    pub(super) layout: Option<Layout>,
    /// Value of the second global.
    pub(super) image_end: u64,
}

/// Reads `wasm`.
pub(super) fn find(wasm: &[u8]) -> Result<Found<'_>> {
    let mut found = Found { image_end: Some(0), ..Found::default() };
    let mut next_body = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::CodeSectionEntry(body) => {
                // Which of them matter is known only at the end: names come last.
                found.bodies.insert(found.imported + next_body, body);
                next_body += 1;
            }
            other => found.note(other)?,
        }
    }
    let roles = &found.roles;
    found.bodies.retain(|index, _| roles.contains_key(index));
    Ok(found)
}

impl<'a> Found<'a> {
    fn note(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    self.types.push(ty?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if matches!(import.ty, TypeRef::Func(_)) {
                        self.imported += 1;
                        self.imports_discard |=
                            import.module == "maxwell" && import.name == "discard";
                    }
                }
            }
            Payload::FunctionSection(section) => {
                self.functions = section.into_iter().collect::<Result<_>>()?;
            }
            Payload::MemorySection(section) => self.has_memory = section.count() > 0,
            Payload::GlobalSection(section) => self.globals = section.count(),
            Payload::ExportSection(section) => {
                self.exports = section.count();
                for export in section {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        self.name(export.index, export.name);
                    }
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    self.note_data(&data?);
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    self.read_names(names);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_data(&mut self, data: &wasmparser::Data<'_>) {
        let DataKind::Active { offset_expr, .. } = &data.kind else { return };
        let mut operators = offset_expr.get_operators_reader();
        let offset = match (operators.read(), operators.read()) {
            (Ok(Operator::I32Const { value }), Ok(Operator::End)) => Some(value.cast_unsigned()),
            _ => None,
        };
        self.image_end = match (self.image_end, offset) {
            (Some(end), Some(offset)) => Some(end.max(u64::from(offset) + data.data.len() as u64)),
            _ => None,
        };
    }

    /// A torn name section names nothing more: names are no part of a module's validity.
    fn read_names(&mut self, names: wasmparser::NameSectionReader<'_>) {
        for subsection in names {
            let Ok(subsection) = subsection else { return };
            let Name::Function(functions) = subsection else { continue };
            for naming in functions {
                let Ok(naming) = naming else { return };
                self.name(naming.index, naming.name);
            }
        }
    }

    fn name(&mut self, index: u32, name: &str) {
        let defined = index.checked_sub(self.imported).map(|defined| defined as usize);
        let ty = defined.and_then(|defined| self.functions.get(defined));
        let Some(ty) = ty.and_then(|&ty| self.types.get(ty as usize)) else { return };
        let is_size = ty.params() == [ValType::I32] && ty.results() == [ValType::I32];
        if matches!(name, "malloc_usable_size" | "c.malloc.malloc_usable_size") && is_size {
            self.usable_size.get_or_insert(index);
        }
        let Some((role, layout)) = role_of(name) else { return };
        if role.fits(ty) {
            self.roles.entry(index).or_insert_with(|| (role, name.to_owned()));
            if let Some(layout) = layout {
                self.named_layouts.entry(index).or_insert(layout);
            }
        }
    }

    /// What to do; `None` when the module stays as it is.
    pub(super) fn plan(&self) -> Option<Plan> {
        if !self.has_memory || self.exports > EXPORTS_MAX {
            return None;
        }
        let layout = self.layout();
        let mut counted = BTreeMap::new();
        for (&index, (role, _)) in &self.roles {
            let sized = !role.asks_block() || layout.is_some();
            if sized && !self.calls_its_kind(index, *role) {
                counted.insert(index, *role);
            }
        }
        if counted.is_empty() && !self.imports_discard {
            return None;
        }
        // Without a plain end nothing of the memory is known to be fresh.
        let image_end = self.image_end.unwrap_or(u64::MAX);
        Some(Plan { counted, layout, image_end })
    }

    fn layout(&self) -> Option<Layout> {
        let asking = |index: &u32| self.roles.get(index).is_some_and(|(role, _)| role.asks_block());
        let named = self.named_layouts.iter().find(|(index, _)| asking(index));
        let named = named.map(|(_, &layout)| layout);
        let shaped = || {
            let bodies = self.bodies.iter().filter(|(index, _)| asking(index));
            bodies.filter_map(|(_, body)| Layout::of_body(body)).next()
        };
        named.or_else(shaped).or(self.usable_size.map(Layout::UsableSize))
    }

    /// Whether a function calls another one of its kind, which then counts for it.
    fn calls_its_kind(&self, index: u32, role: Role) -> bool {
        let Some(body) = self.bodies.get(&index) else { return true };
        callees(body).is_ok_and(|callees| {
            callees.iter().any(|callee| {
                let other = self.roles.get(callee);
                *callee != index && other.is_some_and(|(kind, _)| kind.is_free() == role.is_free())
            })
        })
    }

    /// The name that gave a function its role.
    pub(super) fn name_of(&self, index: u32) -> String {
        self.roles.get(&index).map(|(_, name)| name.clone()).unwrap_or_default()
    }

    /// The body of a function that has a role.
    pub(super) fn body(&self, index: u32) -> Option<&FunctionBody<'a>> {
        self.bodies.get(&index)
    }

    /// Functions imported.
    pub(super) fn imported(&self) -> u32 {
        self.imported
    }
}

fn callees(body: &FunctionBody<'_>) -> Result<BTreeSet<u32>> {
    let mut callees = BTreeSet::new();
    for operator in body.get_operators_reader()? {
        if let Operator::Call { function_index } | Operator::ReturnCall { function_index } =
            operator?
        {
            callees.insert(function_index);
        }
    }
    Ok(callees)
}
