package Test::LLM::Process;

# A helper in its own process, driven from the test by calls over a socket
# pair.  Fault servers and the DNS stub are such helpers: they must go on
# serving while the test itself waits for nginx.
#
# A subclass has serve(), which runs in the child and calls answer() whenever
# the control handle is readable, and methods named cmd_NAME that answer one
# call.  The child ends when the test closes its end, so nothing survives it.

use strict;
use warnings;

use IO::Handle;
use JSON::PP ();
use POSIX ();
use Socket;

my $json = JSON::PP->new->latin1->allow_nonref;


sub launch {
    my ($self) = @_;

    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "socketpair: $!";

    my $pid = fork();
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        close $ours;
        $self->{control} = $theirs;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM CHLD);
        $SIG{PIPE} = 'IGNORE';

        # never the test's own END blocks, destructors and buffers
        eval { $self->serve; 1 } or print STDERR "# helper died: $@";
        POSIX::_exit(0);
    }

    close $theirs;
    $self->{control} = $ours;
    $self->{pid} = $pid;
    $self->{owner} = $$;

    return $self;
}


# one call from the test: a method of the child, answered with one value
sub call {
    my ($self, $name, @args) = @_;

    _put($self->{control}, [ $name, @args ]);
    my $answer = _get($self->{control});
    die "helper process is gone\n" unless $answer;
    die "$answer->{error}\n" if $answer->{error};

    return $answer->{value};
}


# in the child: serve one call; false when the test has gone away
sub answer {
    my ($self) = @_;

    my $call = _get($self->{control}) or return 0;
    my ($name, @args) = @$call;
    my $method = "cmd_$name";
    my $value = eval { $self->$method(@args) };
    my $error = $@;

    _put($self->{control}, $error ? { error => "$name: $error" }
                                  : { value => $value });
    return 1;
}


sub stop {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    close $self->{control};
    my $pid = delete $self->{pid};

    for (1 .. 200) {
        return if waitpid($pid, POSIX::WNOHANG()) != 0;
        select undef, undef, undef, 0.01;
    }

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->stop;
}


sub _put {
    my ($fh, $data) = @_;
    my $text = $json->encode($data);
    my $out = pack('N', length $text) . $text;

    while (length $out) {
        my $n = syswrite $fh, $out;
        return unless $n;
        substr $out, 0, $n, '';
    }
}


sub _get {
    my ($fh) = @_;
    my $head = _read($fh, 4) // return;
    my $text = _read($fh, unpack 'N', $head) // return;
    return $json->decode($text);
}


sub _read {
    my ($fh, $len) = @_;
    my $in = '';

    while (length $in < $len) {
        my $n = sysread $fh, $in, $len - length $in, length $in;
        next if !defined $n && $!{EINTR};
        return unless $n;
    }

    return $in;
}

1;
