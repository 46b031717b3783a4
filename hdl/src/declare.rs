//! Short declarations of leaves.

/// Declares a leaf: a rust-hdl block with a `clock` input, and `new(config)`.
///
/// Ports are listed under `in` and `out`, flip-flops (zero on reset) under `reg`, combinational signals under
/// `wire`, values fixed when the Verilog is generated under `const`. Behaviour follows in `impl Logic`.
#[macro_export]
macro_rules! leaf {
    (
        $(#[doc = $doc:literal])*
        $name:ident = $verilog:literal, latency $latency:literal, for $config:ident;
        in { $($(#[doc = $in_doc:literal])* $input:ident: $in_ty:ty,)* }
        out { $($(#[doc = $out_doc:literal])* $output:ident: $out_ty:ty,)* }
        reg { $($reg:ident: $reg_ty:ty,)* }
        wire { $($wire:ident: $wire_ty:ty,)* }
        const { $($const:ident: $const_ty:ty = $value:expr,)* }
    ) => {
        $(#[doc = $doc])*
        #[derive(LogicBlock, Clone, Debug)]
        #[allow(missing_docs)]
        pub struct $name {
            pub clock: Signal<In, Clock>,
            $($(#[doc = $in_doc])* pub $input: Signal<In, $in_ty>,)*
            $($(#[doc = $out_doc])* pub $output: Signal<Out, $out_ty>,)*
            $($reg: DFF<$reg_ty>,)*
            $($wire: Signal<Local, $wire_ty>,)*
            $($const: Constant<$const_ty>,)*
        }

        impl $name {
            /// The leaf as `config` wants it.
            pub fn new($config: &spec::Config) -> Self {
                let _ = $config;
                Self {
                    clock: Default::default(),
                    $($input: Default::default(),)*
                    $($output: Default::default(),)*
                    $($reg: Default::default(),)*
                    $($wire: Default::default(),)*
                    $($const: Constant::new($value.into()),)*
                }
            }
        }

        impl Leaf for $name {
            const NAME: &'static str = $verilog;
            fn doc() -> LeafDoc {
                LeafDoc { purpose: concat!($($doc, "\n"),*).trim().into(), latency: $latency.into() }
            }
        }
    };
}
