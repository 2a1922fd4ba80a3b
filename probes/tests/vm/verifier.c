// Has the running kernel's verifier look at each program of an object, in each of the ways in which Grove sets its
// constants, and says what that took: verifier OBJECT [STACK_MAX INSTRUCTIONS_MAX].
// One line for each program: the instructions that were processed and the deepest stack over calls, both the most of all
// settings, and what is left of the kernel's limits. Exit code 1 if one takes more than STACK_MAX bytes or
// INSTRUCTIONS_MAX, or is refused: but of NAME and NAME_old, which are the same for different kernels, one will do.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_LIMIT 512
#define INSTRUCTIONS_LIMIT 1000000
#define SUBPROGRAMS_MAX 256
#define LOG_STATS 4

static char log_text[16 << 20];

// Sets a constant in `.rodata`: its place is in the object's own type information.
static bool set(struct bpf_object *object, const char *name, uint32_t value)
{
    struct bpf_map *map;
    const struct btf *btf = bpf_object__btf(object);
    bpf_object__for_each_map(map, object) {
        if (!strstr(bpf_map__name(map), ".rodata"))
            continue;
        size_t size;
        char *data = (char *)bpf_map__initial_value(map, &size);
        const struct btf_type *section = btf__type_by_id(btf, btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC));
        const struct btf_var_secinfo *at = btf_var_secinfos(section);
        for (int i = 0; i < btf_vlen(section); i++, at++) {
            const struct btf_type *variable = btf__type_by_id(btf, at->type);
            if (!strcmp(btf__name_by_offset(btf, variable->name_off), name)) {
                memset(data + at->offset, 0, at->size);
                memcpy(data + at->offset, &value, sizeof(value));
                return true;
            }
        }
    }
    return false;
}

struct graph {
    const struct bpf_insn *insns;
    int count;
    int begins[SUBPROGRAMS_MAX];
    int depths[SUBPROGRAMS_MAX];
    int n;
};

// The place a call or a callback leads to, or -1.
static int target(const struct bpf_insn *insn, int at)
{
    if (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL)
        return at + insn->imm + 1;
    if (insn->code == (BPF_LD | BPF_IMM | BPF_DW) && insn->src_reg == BPF_PSEUDO_FUNC)
        return at + insn->imm + 1;
    return -1;
}

static int begin_of(struct graph *g, int at)
{
    for (int i = 0; i < g->n; i++)
        if (g->begins[i] == at)
            return i;
    return -1;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

// The deepest stack from this function on, each frame rounded up as the strictest kernels do.
static int deepest(struct graph *g, int of)
{
    int end = of + 1 < g->n ? g->begins[of + 1] : g->count, below = 0;
    for (int i = g->begins[of]; i < end; i++) {
        int to = target(&g->insns[i], i);
        int depth = to < 0 ? 0 : deepest(g, begin_of(g, to));
        below = depth > below ? depth : below;
    }
    int own = g->depths[of] ? g->depths[of] : 1;
    return (own + 31) / 32 * 32 + below;
}

// From the verifier's last words: "stack depth 96+32", one for each function in the order of their code.
static int stack_of(const struct bpf_program *program)
{
    struct graph g = {.insns = bpf_program__insns(program), .count = bpf_program__insn_cnt(program), .n = 1};
    for (int i = 0; i < g.count; i++) {
        int to = target(&g.insns[i], i);
        if (to >= 0 && begin_of(&g, to) < 0 && g.n < SUBPROGRAMS_MAX)
            g.begins[g.n++] = to;
    }
    qsort(g.begins, g.n, sizeof(int), compare);
    const char *depths = strstr(log_text, "stack depth ");
    int n = 0;
    for (const char *at = depths; at && n < g.n; n++) {
        at += strcspn(at, "0123456789");
        g.depths[n] = strtol(at, (char **)&at, 10);
        if (*at != '+')
            at = 0;
    }
    // Where there are not as many as the code has functions, it cannot be told which is whose.
    return n == g.n ? deepest(&g, 0) : -1;
}

static bool load(const char *path, const char *name, uint32_t scope, uint32_t arguments, int *insns, int *stack)
{
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    struct bpf_program *program, *wanted = NULL;
    if (!object)
        return false;
    if (!set(object, "scope", scope) || !set(object, "arguments", arguments) || !set(object, "window_ns", 1))
        fprintf(stderr, "the object lacks a constant\n"), exit(1);
    bpf_object__for_each_program(program, object) {
        bool this = !strcmp(bpf_program__name(program), name);
        bpf_program__set_autoload(program, this);
        if (this)
            wanted = program;
    }
    log_text[0] = 0;
    bpf_program__set_log_level(wanted, LOG_STATS);
    bpf_program__set_log_buf(wanted, log_text, sizeof(log_text));
    bool ok = !bpf_object__load(object);
    if (ok) {
        struct bpf_prog_info info = {};
        uint32_t bytes = sizeof(info);
        bpf_obj_get_info_by_fd(bpf_program__fd(wanted), &info, &bytes);
        *insns = info.verified_insns;
        *stack = stack_of(wanted);
    }
    bpf_object__close(object);
    return ok;
}

// The end of what the verifier said.
static const char *last_words(void)
{
    size_t at = strlen(log_text);
    for (int lines = 0; at && lines < 12; at--)
        lines += log_text[at - 1] == '\n';
    return log_text + at;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
    return 0;
}

// A program's fate.
struct outcome {
    char name[64];
    bool loads;
    int insns;
    int stack;
    char *refusal;
};

static void look_at(const char *path, struct outcome *of)
{
    // Each scope; and with it arguments that tell programs apart, or not.
    static const uint32_t settings[][2] = {{0, 0}, {1, 1}, {2, 0}};
    of->loads = true;
    for (size_t i = 0; of->loads && i < sizeof(settings) / sizeof(*settings); i++) {
        int insns = 0, stack = 0;
        of->loads = load(path, of->name, settings[i][0], settings[i][1], &insns, &stack);
        of->insns = insns > of->insns ? insns : of->insns;
        of->stack = stack > of->stack || stack < 0 ? stack : of->stack;
    }
    if (!of->loads)
        of->refusal = strdup(last_words());
}

// The same for other kernels.
static bool have_other(const struct outcome *all, int n, const char *name)
{
    char other[80];
    size_t bytes = strlen(name);
    if (bytes > 4 && !strcmp(name + bytes - 4, "_old"))
        snprintf(other, sizeof(other), "%.*s", (int)bytes - 4, name);
    else
        snprintf(other, sizeof(other), "%.63s_old", name);
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i].name, other))
            return all[i].loads;
    return false;
}

int main(int argc, char **argv)
{
    int stack_max = argc > 2 ? atoi(argv[2]) : STACK_LIMIT;
    int insns_max = argc > 3 ? atoi(argv[3]) : INSTRUCTIONS_LIMIT;
    static struct outcome all[64];
    int n = 0, status = 0;
    libbpf_set_print(quiet);
    struct bpf_object *object = argc > 1 ? bpf_object__open_file(argv[1], NULL) : NULL;
    struct bpf_program *program;
    if (!object)
        return fprintf(stderr, "usage: verifier OBJECT [STACK_MAX INSTRUCTIONS_MAX]\n"), 1;
    bpf_object__for_each_program(program, object) {
        snprintf(all[n].name, sizeof(all[n].name), "%s", bpf_program__name(program));
        look_at(argv[1], &all[n++]);
    }
    printf("%-24s %12s %6s %6s %6s\n", "program", "instructions", "left", "stack", "left");
    for (int i = 0; i < n; i++) {
        const struct outcome *of = &all[i];
        bool fits = of->loads && of->stack >= 0 && of->stack <= stack_max && of->insns <= insns_max;
        if (of->loads)
            printf("%-24s %12d %5d%% %6d %6d%s\n", of->name, of->insns, 100 - of->insns / (INSTRUCTIONS_LIMIT / 100),
                   of->stack, STACK_LIMIT - of->stack, fits ? "" : "  TOO MUCH");
        else if ((fits = have_other(all, n, of->name)))
            printf("%-24s is for other kernels\n", of->name);
        else
            printf("%-24s REFUSED\n%s\n", of->name, of->refusal);
        status |= !fits;
    }
    return status;
}
