/** A resolver thread that cannot start, as where Node may open no more files. */
throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
