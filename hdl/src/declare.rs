//! Short declarations of leaves.

/// Declares a leaf: a rust-hdl block, and `new(config)`.
///
/// Ports are listed under `in` and `out`, flip-flops (zero on reset) under `reg`, combinational signals under
/// `wire`, values fixed when the Verilog is generated under `const`. `(clock)` names the clock of a leaf that has
/// one, `(clock no_reset)` of one whose flip-flops take no reset; `()` makes a combinational leaf. Behaviour follows in `impl Logic`.
#[macro_export]
macro_rules! leaf {
    (
        $(#[doc = $doc:literal])*
        $name:ident = $verilog:literal ($($clock:ident $($no_reset:ident)?)?), latency $latency:literal, for $config:ident;
        in { $($(#[doc = $in_doc:literal])* $input:ident: $in_ty:ty,)* }
        out { $($(#[doc = $out_doc:literal])* $output:ident: $out_ty:ty,)* }
        reg { $($(#[doc = $reg_doc:literal])* $reg:ident: $reg_ty:ty,)* }
        wire { $($wire:ident: $wire_ty:ty,)* }
        const { $($const:ident: $const_ty:ty = $value:expr,)* }
    ) => {
        $(#[doc = $doc])*
        #[derive(LogicBlock, Clone, Debug)]
        #[allow(missing_docs)]
        pub struct $name {
            $(pub $clock: Signal<In, Clock>,)?
            $($(#[doc = $in_doc])* pub $input: Signal<In, $in_ty>,)*
            $($(#[doc = $out_doc])* pub $output: Signal<Out, $out_ty>,)*
            $($(#[doc = $reg_doc])* $reg: DFF<$reg_ty>,)*
            $($wire: Signal<Local, $wire_ty>,)*
            $($const: Constant<$const_ty>,)*
        }

        impl $name {
            /// The leaf as `config` wants it.
            pub fn new($config: &spec::Config) -> Self {
                let _ = $config;
                Self {
                    $($clock: Default::default(),)?
                    $($input: Default::default(),)*
                    $($output: Default::default(),)*
                    $($reg: Default::default(),)*
                    $($wire: Default::default(),)*
                    $($const: Constant::new($value.into()),)*
                }
            }
        }

        impl Leaf for $name {
            fn name(&self) -> String {
                $verilog.into()
            }
            fn doc(&self) -> LeafDoc {
                // An empty line ends a paragraph; others are wrapped anew.
                let purpose = [$($doc),*].map(str::trim).join(" ").replace("  ", "\n");
                LeafDoc::new(purpose, $latency)
            }
            $($($crate::leaf!(@$no_reset);)?)?
            leaf_inputs!($($clock)?; $($input),*);
        }
    };
    (@no_reset) => {
        fn has_reset(&self) -> bool {
            false
        }
    };
}
