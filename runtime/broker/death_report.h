/* broker/death_report.h
 * What the log says of a worker that has ended: how, which the kernel proves, and which functions it was running,
 * which its flight record claims: these must not end the next worker as well. One that made a forbidden system
 * call is an event of its own. */
#ifndef AZFN_BROKER_DEATH_REPORT_H
#define AZFN_BROKER_DEATH_REPORT_H

#include "broker/log_sink.h"
#include "worker/flight_record.h"

#include <azfn.h>

#define AZFN__DEATH_TEXT_BYTES 256

struct azfn__death {
    int status;     /* as waitpid() gives it */
    bool was_ready; /* before that it is a start that has failed */
    bool is_told;   /* why it had to end, and what its loop was running */
};

/* One line where it is not told, and one for each further function that was running. out_text is the first line's text,
 * without any text that the worker wrote. The functions' invocations are added to suspects. */
void azfn__death_report_write(struct azfn__log_sink *log, const struct azfn__flight_record *record,
                              const struct azfn__death *death, struct azfn__suspects *suspects,
                              char out_text[AZFN__DEATH_TEXT_BYTES]);

#endif
