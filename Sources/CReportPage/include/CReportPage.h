// SPDX-License-Identifier: MIT
// The page of `nattrace report`, carried inside the program so that one file is enough: what is
// the same in every report.
#ifndef CREPORTPAGE_H
#define CREPORTPAGE_H

#include <stddef.h>

/// The files of Sources/Report/Page. They live as long as the program.
const char *_Nonnull nattrace_report_skeleton(size_t *_Nonnull size);
const char *_Nonnull nattrace_report_style(size_t *_Nonnull size);
const char *_Nonnull nattrace_report_script(size_t *_Nonnull size);

#endif
