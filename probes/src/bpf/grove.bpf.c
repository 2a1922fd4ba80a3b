// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Grove's kernel side: one object, one program for each hook. Built by build.sh; the object is committed, so
// that nobody who only uses Grove needs a compiler for it.
#include "lifecycle.h"
#include "exec.h"
#include "calls.h"
#include "uring.h"
#include "caps.h"
#include "groups.h"
#include "egress.h"

char programs_license[] SEC("license") = "Dual MIT/GPL";
