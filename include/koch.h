/* Generated from spec/src, do not edit: `make bless`. */
#ifndef KOCH_H
#define KOCH_H

#include <stdint.h>

/* Constants. */
#define KOCH_INSTRUCTION_BYTES 32
#define KOCH_PROGRAM_ALIGN 256
#define KOCH_WORD 16
#define KOCH_QUEUE_DEPTH 8
#define KOCH_LOAD_WINDOW 4
#define KOCH_PARAM_BYTES 8
#define KOCH_COUNTERS_OFFSET 64
#define KOCH_COUNTER_BITS 48

/* What the id register reads, and byte offsets of registers. */
#define KOCH_ID 0x4b4f4348
#define KOCH_REG_ID 0x00
#define KOCH_REG_SHAPE 0x04
#define KOCH_REG_CONFIG_HASH 0x08
#define KOCH_REG_CONTROL 0x0c
#define KOCH_REG_STATUS 0x10
#define KOCH_REG_INTERRUPT 0x14
#define KOCH_REG_PROGRAM 0x18
#define KOCH_REG_INSTRUCTIONS 0x1c

/* Indices of counters. */
#define KOCH_COUNTER_CYCLES 0
#define KOCH_COUNTER_BUSY 1
#define KOCH_COUNTER_IDLE_FEED 2
#define KOCH_COUNTER_IDLE_DRAIN 3
#define KOCH_COUNTER_IDLE_LOAD 4
#define KOCH_COUNTER_IDLE_STORE 5
#define KOCH_COUNTER_IDLE_SETUP 6
#define KOCH_COUNTER_IDLE_FETCH 7
#define KOCH_COUNTER_IDLE_TAIL 8
#define KOCH_COUNTER_READ_PROGRAM 9
#define KOCH_COUNTER_READ_INPUT 10
#define KOCH_COUNTER_READ_WEIGHT 11
#define KOCH_COUNTER_READ_PARAM 12
#define KOCH_COUNTER_WRITTEN 13

/* Status codes. */
#define KOCH_STATUS_OK 0
#define KOCH_STATUS_ILLEGAL_INSTRUCTION 1
#define KOCH_STATUS_BAD_FIELD 2
#define KOCH_STATUS_MISALIGNED 3
#define KOCH_STATUS_TRUNCATED 4
#define KOCH_STATUS_READ_ERROR 5
#define KOCH_STATUS_WRITE_ERROR 6
#define KOCH_STATUS_DEADLOCK 7
#define KOCH_STATUS_TOKEN_OVERFLOW 8

/* Opcodes, and where they are. */
#define KOCH_OP_LOAD 1
#define KOCH_OP_QUANT 2
#define KOCH_OP_TAPS 3
#define KOCH_OP_RECT 4
#define KOCH_OP_STORE 5
#define KOCH_OP_END 6
#define KOCH_OPCODE_LSB 0
#define KOCH_OPCODE_WIDTH 4

/* Fields of load. */
#define KOCH_LOAD_POP_NEXT_LSB 12
#define KOCH_LOAD_POP_NEXT_WIDTH 8
#define KOCH_LOAD_POP_NEXT_SIGNED 0
#define KOCH_LOAD_PUSH_NEXT_LSB 21
#define KOCH_LOAD_PUSH_NEXT_WIDTH 1
#define KOCH_LOAD_PUSH_NEXT_SIGNED 0
#define KOCH_LOAD_BUFFER_LSB 22
#define KOCH_LOAD_BUFFER_WIDTH 2
#define KOCH_LOAD_BUFFER_SIGNED 0
#define KOCH_LOAD_SRC_LSB 24
#define KOCH_LOAD_SRC_WIDTH 32
#define KOCH_LOAD_SRC_SIGNED 0
#define KOCH_LOAD_RUN_BYTES_LSB 56
#define KOCH_LOAD_RUN_BYTES_WIDTH 24
#define KOCH_LOAD_RUN_BYTES_SIGNED 0
#define KOCH_LOAD_RUNS_LSB 80
#define KOCH_LOAD_RUNS_WIDTH 16
#define KOCH_LOAD_RUNS_SIGNED 0
#define KOCH_LOAD_RUN_PITCH_LSB 96
#define KOCH_LOAD_RUN_PITCH_WIDTH 24
#define KOCH_LOAD_RUN_PITCH_SIGNED 0
#define KOCH_LOAD_DST_LSB 120
#define KOCH_LOAD_DST_WIDTH 24
#define KOCH_LOAD_DST_SIGNED 0
#define KOCH_LOAD_DST_PITCH_LSB 144
#define KOCH_LOAD_DST_PITCH_WIDTH 20
#define KOCH_LOAD_DST_PITCH_SIGNED 0
#define KOCH_LOAD_ROW_BYTES_LSB 164
#define KOCH_LOAD_ROW_BYTES_WIDTH 20
#define KOCH_LOAD_ROW_BYTES_SIGNED 0
#define KOCH_LOAD_PAD_LEFT_LSB 184
#define KOCH_LOAD_PAD_LEFT_WIDTH 20
#define KOCH_LOAD_PAD_LEFT_SIGNED 0
#define KOCH_LOAD_PAD_RIGHT_LSB 204
#define KOCH_LOAD_PAD_RIGHT_WIDTH 20
#define KOCH_LOAD_PAD_RIGHT_SIGNED 0
#define KOCH_LOAD_FILL_LSB 224
#define KOCH_LOAD_FILL_WIDTH 16
#define KOCH_LOAD_FILL_SIGNED 0

/* Fields of quant. */
#define KOCH_QUANT_X_SIGNED_LSB 22
#define KOCH_QUANT_X_SIGNED_WIDTH 1
#define KOCH_QUANT_X_SIGNED_SIGNED 0
#define KOCH_QUANT_X_ZERO_LSB 24
#define KOCH_QUANT_X_ZERO_WIDTH 17
#define KOCH_QUANT_X_ZERO_SIGNED 1
#define KOCH_QUANT_Y_ZERO_LSB 41
#define KOCH_QUANT_Y_ZERO_WIDTH 17
#define KOCH_QUANT_Y_ZERO_SIGNED 1
#define KOCH_QUANT_Y_MIN_LSB 58
#define KOCH_QUANT_Y_MIN_WIDTH 17
#define KOCH_QUANT_Y_MIN_SIGNED 1
#define KOCH_QUANT_Y_MAX_LSB 75
#define KOCH_QUANT_Y_MAX_WIDTH 17
#define KOCH_QUANT_Y_MAX_SIGNED 1
#define KOCH_QUANT_RING_LSB 92
#define KOCH_QUANT_RING_WIDTH 24
#define KOCH_QUANT_RING_SIGNED 0

/* Fields of taps. */
#define KOCH_TAPS_FIRST_LSB 22
#define KOCH_TAPS_FIRST_WIDTH 1
#define KOCH_TAPS_FIRST_SIGNED 0
#define KOCH_TAPS_LAST_LSB 23
#define KOCH_TAPS_LAST_WIDTH 1
#define KOCH_TAPS_LAST_SIGNED 0
#define KOCH_TAPS_N_KY_LSB 24
#define KOCH_TAPS_N_KY_WIDTH 8
#define KOCH_TAPS_N_KY_SIGNED 0
#define KOCH_TAPS_N_KX_LSB 32
#define KOCH_TAPS_N_KX_WIDTH 8
#define KOCH_TAPS_N_KX_SIGNED 0
#define KOCH_TAPS_KY_PITCH_LSB 40
#define KOCH_TAPS_KY_PITCH_WIDTH 24
#define KOCH_TAPS_KY_PITCH_SIGNED 0
#define KOCH_TAPS_KX_PITCH_LSB 64
#define KOCH_TAPS_KX_PITCH_WIDTH 20
#define KOCH_TAPS_KX_PITCH_SIGNED 0
#define KOCH_TAPS_WORDS_LSB 84
#define KOCH_TAPS_WORDS_WIDTH 12
#define KOCH_TAPS_WORDS_SIGNED 0
#define KOCH_TAPS_WORD_LEN_LSB 96
#define KOCH_TAPS_WORD_LEN_WIDTH 5
#define KOCH_TAPS_WORD_LEN_SIGNED 0
#define KOCH_TAPS_LONGS_LSB 101
#define KOCH_TAPS_LONGS_WIDTH 12
#define KOCH_TAPS_LONGS_SIGNED 0
#define KOCH_TAPS_W_BASE_LSB 113
#define KOCH_TAPS_W_BASE_WIDTH 20
#define KOCH_TAPS_W_BASE_SIGNED 0
#define KOCH_TAPS_W_KX_SKIP_LSB 133
#define KOCH_TAPS_W_KX_SKIP_WIDTH 20
#define KOCH_TAPS_W_KX_SKIP_SIGNED 0
#define KOCH_TAPS_W_KY_SKIP_LSB 153
#define KOCH_TAPS_W_KY_SKIP_WIDTH 20
#define KOCH_TAPS_W_KY_SKIP_SIGNED 0
#define KOCH_TAPS_P_BASE_LSB 173
#define KOCH_TAPS_P_BASE_WIDTH 16
#define KOCH_TAPS_P_BASE_SIGNED 0
#define KOCH_TAPS_CHUNKS_LSB 189
#define KOCH_TAPS_CHUNKS_WIDTH 8
#define KOCH_TAPS_CHUNKS_SIGNED 0

/* Fields of rect. */
#define KOCH_RECT_POP_PREV_LSB 4
#define KOCH_RECT_POP_PREV_WIDTH 8
#define KOCH_RECT_POP_PREV_SIGNED 0
#define KOCH_RECT_POP_NEXT_LSB 12
#define KOCH_RECT_POP_NEXT_WIDTH 8
#define KOCH_RECT_POP_NEXT_SIGNED 0
#define KOCH_RECT_PUSH_PREV_LSB 20
#define KOCH_RECT_PUSH_PREV_WIDTH 1
#define KOCH_RECT_PUSH_PREV_SIGNED 0
#define KOCH_RECT_PUSH_NEXT_LSB 21
#define KOCH_RECT_PUSH_NEXT_WIDTH 1
#define KOCH_RECT_PUSH_NEXT_SIGNED 0
#define KOCH_RECT_CHAIN_LSB 22
#define KOCH_RECT_CHAIN_WIDTH 1
#define KOCH_RECT_CHAIN_SIGNED 0
#define KOCH_RECT_IN_BASE_LSB 24
#define KOCH_RECT_IN_BASE_WIDTH 24
#define KOCH_RECT_IN_BASE_SIGNED 0
#define KOCH_RECT_IN_X_LSB 48
#define KOCH_RECT_IN_X_WIDTH 20
#define KOCH_RECT_IN_X_SIGNED 0
#define KOCH_RECT_IN_Y_LSB 68
#define KOCH_RECT_IN_Y_WIDTH 24
#define KOCH_RECT_IN_Y_SIGNED 0
#define KOCH_RECT_OUT_BASE_LSB 92
#define KOCH_RECT_OUT_BASE_WIDTH 24
#define KOCH_RECT_OUT_BASE_SIGNED 0
#define KOCH_RECT_OUT_X_LSB 116
#define KOCH_RECT_OUT_X_WIDTH 20
#define KOCH_RECT_OUT_X_SIGNED 0
#define KOCH_RECT_OUT_Y_LSB 136
#define KOCH_RECT_OUT_Y_WIDTH 24
#define KOCH_RECT_OUT_Y_SIGNED 0
#define KOCH_RECT_NX_LSB 160
#define KOCH_RECT_NX_WIDTH 16
#define KOCH_RECT_NX_SIGNED 0
#define KOCH_RECT_NY_LSB 176
#define KOCH_RECT_NY_WIDTH 16
#define KOCH_RECT_NY_SIGNED 0

/* Fields of store. */
#define KOCH_STORE_POP_PREV_LSB 4
#define KOCH_STORE_POP_PREV_WIDTH 8
#define KOCH_STORE_POP_PREV_SIGNED 0
#define KOCH_STORE_PUSH_PREV_LSB 20
#define KOCH_STORE_PUSH_PREV_WIDTH 1
#define KOCH_STORE_PUSH_PREV_SIGNED 0
#define KOCH_STORE_SRC_LSB 24
#define KOCH_STORE_SRC_WIDTH 24
#define KOCH_STORE_SRC_SIGNED 0
#define KOCH_STORE_SEG_BYTES_LSB 48
#define KOCH_STORE_SEG_BYTES_WIDTH 20
#define KOCH_STORE_SEG_BYTES_SIGNED 0
#define KOCH_STORE_SEG_PITCH_LSB 68
#define KOCH_STORE_SEG_PITCH_WIDTH 20
#define KOCH_STORE_SEG_PITCH_SIGNED 0
#define KOCH_STORE_DST_LSB 88
#define KOCH_STORE_DST_WIDTH 32
#define KOCH_STORE_DST_SIGNED 0
#define KOCH_STORE_RUN_BYTES_LSB 120
#define KOCH_STORE_RUN_BYTES_WIDTH 24
#define KOCH_STORE_RUN_BYTES_SIGNED 0
#define KOCH_STORE_RUNS_LSB 144
#define KOCH_STORE_RUNS_WIDTH 16
#define KOCH_STORE_RUNS_SIGNED 0
#define KOCH_STORE_RUN_PITCH_LSB 160
#define KOCH_STORE_RUN_PITCH_WIDTH 24
#define KOCH_STORE_RUN_PITCH_SIGNED 0

/* Byte offset of the low word of a counter; the rest is 4 further. */
#define KOCH_COUNTER_OFFSET(index) (KOCH_COUNTERS_OFFSET + 8 * (index))

/* Writes `value` into `width` bits (fewer than 64) from bit `lsb` on.
 * Returns 0, or -1 if the value does not fit; then nothing is written. */
static inline int koch_put(uint8_t instruction[KOCH_INSTRUCTION_BYTES], unsigned lsb, unsigned width,
                           int is_signed, int64_t value)
{
    int64_t span = (int64_t)1 << (is_signed ? width - 1 : width);
    unsigned bit;

    if (value >= span || value < (is_signed ? -span : 0))
        return -1;
    for (bit = 0; bit < width; bit++) {
        unsigned at = lsb + bit;
        unsigned mask = 1u << (at % 8);
        unsigned one = (unsigned)((uint64_t)value >> bit & 1);

        instruction[at / 8] = (uint8_t)((instruction[at / 8] & ~mask) | one << (at % 8));
    }
    return 0;
}

/* Makes an instruction all of whose fields are zero. */
static inline void koch_clear(uint8_t instruction[KOCH_INSTRUCTION_BYTES], unsigned opcode)
{
    unsigned at;

    for (at = 0; at < KOCH_INSTRUCTION_BYTES; at++)
        instruction[at] = 0;
    koch_put(instruction, KOCH_OPCODE_LSB, KOCH_OPCODE_WIDTH, 0, (int64_t)opcode);
}

/* koch_put by name: KOCH_PUT(bytes, RECT, NX, 7). */
#define KOCH_PUT(instruction, form, field, value) \
    koch_put(instruction, KOCH_##form##_##field##_LSB, KOCH_##form##_##field##_WIDTH, \
             KOCH_##form##_##field##_SIGNED, value)

#endif
