/* Telling the service manager how we are: systemd's notify protocol, one datagram a message. */
#ifndef LXMD_CORE_NOTIFY_H
#define LXMD_CORE_NOTIFY_H

/**
 * Send a state such as "READY=1" or "STOPPING=1" to $NOTIFY_SOCKET.
 * Without that variable (no service manager) or when it does not answer: nothing. Main thread.
 */
void notify_manager(const char *state);

#endif
