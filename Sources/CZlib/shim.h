// SPDX-License-Identifier: MIT
// Output: the checksums of recordings.
#include <zlib.h>
