/* files: ordinary file work in a preopened directory: writes, reads back, appends, seeks,
 * truncates, renames, lists, makes and removes a directory, and tries to leave the sandbox.
 *
 * Usage: files DIR   Prints one "ok NAME" or "FAILED NAME: reason" a check; exits 1 on a failure. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

static void check(const char *name, int passed) {
    if (passed) {
        printf("ok %s\n", name);
    } else {
        printf("FAILED %s: %s\n", name, strerror(errno));
        failures++;
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: files DIR\n");
        return 2;
    }
    char a[512], b[512], sub[512], outside[512], text[64] = {0};
    snprintf(a, sizeof a, "%s/a.txt", argv[1]);
    snprintf(b, sizeof b, "%s/b.txt", argv[1]);
    snprintf(sub, sizeof sub, "%s/sub", argv[1]);
    snprintf(outside, sizeof outside, "%s/../../../etc/passwd", argv[1]);
    struct stat status;

    int fd = open(a, O_CREAT | O_TRUNC | O_RDWR, 0644);
    check("create", fd >= 0);
    check("write", write(fd, "maxwell\n", 8) == 8);
    check("seek", lseek(fd, 0, SEEK_SET) == 0);
    check("read", read(fd, text, sizeof text) == 8 && memcmp(text, "maxwell\n", 8) == 0);
    check("end of file", read(fd, text, sizeof text) == 0);
    check("pread", pread(fd, text, 4, 3) == 4 && memcmp(text, "well", 4) == 0);
    check("ftruncate", ftruncate(fd, 3) == 0 && fstat(fd, &status) == 0 && status.st_size == 3);
    check("close", close(fd) == 0);

    fd = open(a, O_WRONLY | O_APPEND);
    check("append", fd >= 0 && write(fd, "well", 4) == 4 && close(fd) == 0);
    check("stat", stat(a, &status) == 0 && status.st_size == 7 && S_ISREG(status.st_mode));
    check("rename", rename(a, b) == 0 && stat(a, &status) != 0 && errno == ENOENT);

    check("mkdir", mkdir(sub, 0755) == 0 && stat(sub, &status) == 0 && S_ISDIR(status.st_mode));
    int seen = 0;
    DIR *directory = opendir(argv[1]);
    if (directory != NULL) {
        for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
            if (strcmp(entry->d_name, "b.txt") == 0 || strcmp(entry->d_name, "sub") == 0) seen++;
        }
        closedir(directory);
    }
    check("readdir", seen == 2);
    check("rmdir", rmdir(sub) == 0);
    check("unlink", unlink(b) == 0 && stat(b, &status) != 0);
    errno = 0;
    check("no escape upwards", open(outside, O_RDONLY) < 0);
    check("no absolute path", open("/etc/passwd", O_RDONLY) < 0);
    return failures == 0 ? 0 : 1;
}
