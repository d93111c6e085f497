/* QEMU plugin (API version 1, as Debian 12's qemu-user 7.2 loads it): counts the instructions that a program executes.

   The program marks places by the system call 9999, which no kernel has; its argument names the mark. At each mark but 0
   one line goes to the file `out`: "MARK <name> <instructions since the mark before>". With `mnemonics=N` the N most
   frequent mnemonics follow, with `blocks=N` the N basic blocks that take most of the instructions, disassembled.

       qemu-x86_64 -plugin ./count_instructions.so,out=counts.txt,mnemonics=20,blocks=3 program

   An instruction counts each time that it is executed, as a processor's counter of retired instructions has it: a
   REP STOSB is one, however many bytes it sets. QEMU's own header is not needed. */

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of qemu/qemu-plugin.h, what is used here. */
typedef uint64_t Id;
typedef struct Block_ TranslationBlock;
typedef struct Instruction_ Instruction;
typedef void Translated(Id, TranslationBlock *);
typedef void Called(Id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
enum { INLINE_ADD };
void qemu_plugin_register_vcpu_tb_trans_cb(Id, Translated *);
void qemu_plugin_register_vcpu_tb_exec_inline(TranslationBlock *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(Id, Called *);
size_t qemu_plugin_tb_n_insns(const TranslationBlock *);
Instruction *qemu_plugin_tb_get_insn(const TranslationBlock *, size_t);
uint64_t qemu_plugin_insn_vaddr(const Instruction *);
char *qemu_plugin_insn_disas(const Instruction *);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { MARK = 9999, MOST = 4096 };
typedef struct {
    char *text; /* a mnemonic, or the instructions of a block */
    uint64_t address, instructions, executed, before; /* instructions: of one execution; before: executed at the last mark */
} Counter;
static Counter total = {.instructions = 1}, *mnemonics[MOST + 1], **blocks;
static int mnemonics_count, blocks_count, show_mnemonics, show_blocks;
static FILE *out;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static Counter *new_counter(const char *text, uint64_t address, uint64_t instructions) {
    Counter *made = calloc(1, sizeof *made);
    if (!made || !(made->text = strdup(text))) abort();
    made->address = address, made->instructions = instructions;
    return made;
}

static Counter *mnemonic_of(const char *disassembled) {
    char name[32] = "";
    sscanf(disassembled, "%23s", name);
    /* The width of the vectors matters as much as what is done. */
    for (const char **width = (const char *[]){"zmm", "ymm", "xmm", " q", " v", "{v", NULL}; *width; width++)
        if (strstr(disassembled, *width)) { strcat(strcat(name, " "), *width + strspn(*width, " {")); break; }
    for (int i = 0; i < mnemonics_count; i++)
        if (!strcmp(mnemonics[i]->text, name)) return mnemonics[i];
    if (mnemonics_count == MOST) return mnemonics[MOST - 1];
    return mnemonics[mnemonics_count++] = new_counter(name, 0, 1);
}

/* QEMU runs the repetitions of a string instruction as a block of its own, which jumps to itself. */
static bool is_repetition(TranslationBlock *block) {
    if (qemu_plugin_tb_n_insns(block) != 1) return false;
    char *disassembled = qemu_plugin_insn_disas(qemu_plugin_tb_get_insn(block, 0));
    const bool found = !strncmp(disassembled, "rep", 3) && !strstr(disassembled, "ret");
    free(disassembled);
    return found;
}

static void translated(Id id, TranslationBlock *block) {
    (void)id;
    if (is_repetition(block)) return;
    const size_t count = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &total.executed, count);
    if (!show_mnemonics && !show_blocks) return;
    pthread_mutex_lock(&lock);
    char *text = calloc(count, 100);
    if (!text) abort();
    for (size_t i = 0; i < count; i++) {
        char *disassembled = qemu_plugin_insn_disas(qemu_plugin_tb_get_insn(block, i));
        qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &mnemonic_of(disassembled)->executed, 1);
        sprintf(text + strlen(text), "\n      %.90s", disassembled);
        free(disassembled);
    }
    blocks = realloc(blocks, (size_t)(blocks_count + 1) * sizeof *blocks);
    if (!blocks) abort();
    blocks[blocks_count] = new_counter(text, qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, 0)), count);
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &blocks[blocks_count++]->executed, 1);
    free(text);
    pthread_mutex_unlock(&lock);
}

static uint64_t since_mark(const Counter *counter) {
    return (counter->executed - counter->before) * counter->instructions;
}

static int more_first(const void *a, const void *b) {
    const uint64_t x = since_mark(*(Counter *const *)a), y = since_mark(*(Counter *const *)b);
    return (x < y) - (x > y);
}

static void print_and_forget(Counter **counters, int count, int show) {
    if (show) qsort(counters, (size_t)count, sizeof *counters, more_first);
    for (int i = 0; i < count; i++) {
        const uint64_t executed = since_mark(counters[i]);
        if (i < show && executed)
            fprintf(out, "  %5.1f%% %12" PRIu64 " %" PRIx64 " %s\n", 100.0 * (double)executed / (double)since_mark(&total),
                    executed, counters[i]->address, counters[i]->text);
    }
    for (int i = 0; i < count; i++) counters[i]->before = counters[i]->executed;
}

static void called(Id id, unsigned cpu, int64_t number, uint64_t mark, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                   uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != MARK) return;
    pthread_mutex_lock(&lock);
    if (mark) fprintf(out, "MARK %" PRIu64 " %" PRIu64 "\n", mark, since_mark(&total));
    print_and_forget(mnemonics, mnemonics_count, mark ? show_mnemonics : 0);
    print_and_forget(blocks, blocks_count, mark ? show_blocks : 0);
    total.before = total.executed;
    fflush(out);
    pthread_mutex_unlock(&lock);
}

__attribute__((visibility("default"))) int qemu_plugin_install(Id id, const void *info, int count, char **settings) {
    (void)info;
    for (int i = 0; i < count; i++) {
        sscanf(settings[i], "mnemonics=%d", &show_mnemonics);
        sscanf(settings[i], "blocks=%d", &show_blocks);
        if (!strncmp(settings[i], "out=", 4)) out = fopen(settings[i] + 4, "a");
    }
    if (!out) return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
