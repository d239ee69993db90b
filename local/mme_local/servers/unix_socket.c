/* Preloaded into Triton where it cannot have a network namespace: the socket that would be bound to SageMaker's port,
 * at every address of the machine, becomes a unix socket. Other listeners, those of models, get the loopback address. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int (*real)(int, const struct sockaddr *, socklen_t);

static int bind_unix(int descriptor, const char *path) {
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) {
        return -1;
    }
    fcntl(made, F_SETFL, fcntl(descriptor, F_GETFL));
    int replaced = dup3(made, descriptor, O_CLOEXEC);
    close(made);
    strncpy(place.sun_path, path, sizeof place.sun_path - 1);
    return replaced < 0 ? -1 : real(descriptor, (struct sockaddr *)&place, sizeof place);
}

int bind(int descriptor, const struct sockaddr *address, socklen_t length) {
    const char *path = getenv("MME_LOCAL_SOCKET");
    int kind = 0;
    socklen_t size = sizeof kind;
    real = dlsym(RTLD_NEXT, "bind");
    getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &kind, &size);
    if (address != NULL && address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in changed;
        memcpy(&changed, address, sizeof changed);
        if (kind == SOCK_STREAM && ntohs(changed.sin_port) == 8080 && path != NULL) {
            return bind_unix(descriptor, path);
        }
        changed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return real(descriptor, (struct sockaddr *)&changed, sizeof changed);
    }
    if (address != NULL && address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 changed;
        memcpy(&changed, address, sizeof changed);
        changed.sin6_addr = in6addr_loopback;
        return real(descriptor, (struct sockaddr *)&changed, sizeof changed);
    }
    return real(descriptor, address, length);
}
