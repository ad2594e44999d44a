// SPDX-License-Identifier: MIT
#include "CReportPage.h"

// `#embed` makes each file a dependency that the compiler reports, as for the BPF programs.

static const char skeleton[] = {
#embed "../Report/Page/skeleton.html"
};

static const char style[] = {
#embed "../Report/Page/page.css" suffix(,)
#embed "../Report/Page/ladder.css" suffix(,)
#embed "../Report/Page/print.css"
};

// One script: what a file names, those after it know.
static const char script[] = {
#embed "../Report/Page/elements.js" suffix(,)
#embed "../Report/Page/data.js" suffix(,)
#embed "../Report/Page/journey.js" suffix(,)
#embed "../Report/Page/ladder.js" suffix(,)
#embed "../Report/Page/steps.js" suffix(,)
#embed "../Report/Page/connection.js" suffix(,)
#embed "../Report/Page/selection.js" suffix(,)
#embed "../Report/Page/list.js" suffix(,)
#embed "../Report/Page/main.js"
};

const char *nattrace_report_skeleton(size_t *size)
{
	*size = sizeof(skeleton);
	return skeleton;
}

const char *nattrace_report_style(size_t *size)
{
	*size = sizeof(style);
	return style;
}

const char *nattrace_report_script(size_t *size)
{
	*size = sizeof(script);
	return script;
}
