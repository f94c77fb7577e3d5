-- Heartbeats of every daemon, whatever its name is.

alter table checkout.daemons
    drop constraint daemons_program_check,
    add constraint daemons_program_check check (program ~ '^[a-z]{1,20}$');
