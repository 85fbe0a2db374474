package Test::LLM::Gateway;

# One nginx in a directory of its own.
#
#   my $gw = Test::LLM::Gateway->new(
#       conf  => $text,             the http block's content, or a whole file
#                                   when it has an http block itself
#       main  => $text,             more lines for the main context
#       events => $text,            ... for the events block
#       env   => { NAME => value }, values of names like *KEY* are secrets
#       files => { name => text },  written into the directory first
#       vars  => { NAME => value }, for %%NAME%% in conf
#       secrets => [ ... ],         more that must never show up anywhere
#       workers => N, module => 0 (plain nginx), level => 'info' (error_log)
#   );
#   $gw->start->http(POST => '/v1/x', { header => ... }, $body)->status;
#
# %%PORT%%, %%PORT_NAME%% are free ports, %%DIR%% is the directory, %%T%% the
# folder t.  Environment: LLM_NGINX, LLM_MODULE, LLM_NGINX_GLOBALS (more main
# lines), LLM_TEST_SLOW (factor for all waiting), LLM_VALGRIND (a command put
# in front), LLM_TEST_KEEP (leave the directory), LLM_TEST_DEBUG (debug log).
#
# problems() tells what must be wrong in no test, once nginx has ended: an exit
# code, alerts, dead workers, sanitizer reports, a secret in a log or an answer.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Spec;
use File::Temp ();
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Time::HiRes qw(time);

use Test::LLM::Client;

my $T = File::Spec->rel2abs(dirname(__FILE__) . '/../../..');
my $TOP = "$T/..";
my @ALL;

our $SLOW = $ENV{LLM_TEST_SLOW} || 1;

push @Test::LLM::Client::ON_END, sub {
    my ($client) = @_;
    $_->_captured($client->wire, $client) for grep { defined } @ALL;
};


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        %o, owner => $$, announced => [], leaks => [], port => {},
        dir => File::Temp::tempdir('llm-gw-XXXXXX', TMPDIR => 1,
                                   CLEANUP => !$ENV{LLM_TEST_KEEP}),
    }, $class;

    chmod 0755, $self->{dir};
    make_path("$self->{dir}/tmp", "$self->{dir}/logs");
    $self->write($_, $o{files}{$_}) for keys %{ $o{files} || {} };

    $self->{secret} = { map { $_ => 1 } @{ $o{secrets} || [] } };
    while (my ($k, $v) = each %{ $o{env} || {} }) {
        $self->{secret}{$v} = 1
            if $k =~ /KEY|TOKEN|SECRET|PASSWORD/ && length $v >= 6;
    }

    push @ALL, $self;
    return $self;
}


sub all { grep { defined && $_->{owner} == $$ } @ALL }
sub dir { $_[0]{dir} }
sub pid { $_[0]{pid} }


sub write {
    my ($self, $name, $text, $mode) = @_;
    my $path = "$self->{dir}/$name";

    make_path(dirname($path));
    open my $fh, '>:raw', $path or die "$path: $!";
    print $fh $text;
    close $fh or die "$path: $!";
    chmod $mode, $path if defined $mode;
    return $path;
}


# a key file whose content must never be seen
sub secret_file {
    my ($self, $name, $text) = @_;
    $self->{secret}{$_} = 1 for grep { length >= 6 } split /\n/, $text;
    return $self->write($name, $text, 0600);
}


sub port {
    my ($self, $name) = @_;
    $name = defined $name ? "PORT_$name" : 'PORT';

    return $self->{port}{$name} //= do {
        my ($port, $hold) = free_port();
        push @{ $self->{hold} }, $hold;
        $port;
    };
}


# A port that nobody listens on.  The UDP socket of the same number is kept:
# other tests pass over the port while this one lives.
sub free_port {
    for (1 .. 50) {
        my $udp = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => 10_000 + int rand 22_000, Proto => 'udp') or next;
        my $tcp = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $udp->sockport, Proto => 'tcp', Listen => 1) or next;
        close $tcp;
        return wantarray ? ($udp->sockport, $udp) : $udp->sockport;
    }
    die 'no free port';
}


sub render {
    my ($self, $text) = @_;

    $text =~ s{%%(\w+)%%}{
        my $name = $1;
        defined $self->{vars}{$name} ? $self->{vars}{$name}
            : $name eq 'DIR' ? $self->{dir}
            : $name eq 'T' ? $T
            : $name =~ /^PORT(?:_(\w+))?$/ ? $self->port($1)
            : die "no value for %%$name%%"
    }ge;

    return $text;
}


sub write_conf {
    my ($self, $conf) = @_;
    $self->{conf} = $conf if defined $conf;

    my $level = $ENV{LLM_TEST_DEBUG} ? 'debug' : $self->{level} || 'info';
    my $workers = $self->{workers} || 1;
    # valgrind keeps some descriptors for itself and lets nobody raise the limit
    my $rlimit = $ENV{LLM_VALGRIND} ? '' : 'worker_rlimit_nofile 20000;';
    my $user = $> == 0 ? 'user root;' : '';
    my $module = '';
    if ($self->{module} // 1) {
        my $so = File::Spec->rel2abs($ENV{LLM_MODULE}
            || "$TOP/build/ngx_http_llm_gateway_module.so");
        die "$so is not there: run make first\n" unless -e $so;
        $module = "load_module $so;";
    }
    my $env = join "\n", map { "env $_;" } @{ $self->{keep_env} || [] };
    my $globals = $ENV{LLM_NGINX_GLOBALS} || '';
    my $main = $self->{main} || '';
    my $events = $self->{events} || 'worker_connections 4096;';
    my $http = $self->{conf} || '';

    $http = "http {\n" . _temp_paths() . "$http\n}\n"
        unless $http =~ /^\s*http\s*\{/m;

    $self->write('nginx.conf', $self->render(<<"EOC"));
$module
$globals
$user
worker_processes $workers;
$rlimit
daemon off;
pid %%DIR%%/nginx.pid;
error_log %%DIR%%/error.log $level;
lock_file %%DIR%%/nginx.lock;
$env
$main
events {
    $events
}
$http
EOC
    return $self;
}


sub _temp_paths {
    return join '', "    access_log %%DIR%%/access.log;\n", map {
        "    ${_}_temp_path %%DIR%%/tmp/$_;\n"
    } qw(client_body proxy fastcgi uwsgi scgi);
}


sub _command {
    my ($self, @args) = @_;
    my $nginx = $ENV{LLM_NGINX} || (-x '/usr/sbin/nginx' ? '/usr/sbin/nginx'
                                                         : 'nginx');
    return (split(' ', $ENV{LLM_VALGRIND} || ''), $nginx,
            '-p', "$self->{dir}/", '-e', "$self->{dir}/error.log",
            '-c', "$self->{dir}/nginx.conf", @args);
}


sub _environment {
    my ($self) = @_;
    my $env = $self->{env} || {};
    delete $ENV{$_} for grep { /_(?:API_)?KEY/ } keys %ENV;
    defined $env->{$_} ? ($ENV{$_} = $env->{$_}) : delete $ENV{$_}
        for keys %$env;
}


# nginx -t: (exit code, output, what it wrote into the log)
sub test_conf {
    my ($self, $conf) = @_;
    $self->write_conf($conf);

    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        $self->_environment;
        # nginx -t leaves everything to the end of the process
        $ENV{ASAN_OPTIONS} .= ':detect_leaks=0' if $ENV{ASAN_OPTIONS};
        exec $self->_command('-t') or POSIX::_exit(127);
    }
    local $/;
    my $text = readline($out) // '';
    close $out;
    my $code = $? >> 8;

    $self->_captured($text, 'nginx -t');
    # what -t says goes into the log as well: it was asked for
    my $log = $self->log;
    $self->_captured($log, 'the log of nginx -t');
    unlink "$self->{dir}/error.log";

    return ($code, $text, $log);
}


sub start {
    my ($self, %o) = @_;

    for my $try (1 .. 3) {
        $self->write_conf;
        return $self if $self->_start_once;

        last unless $self->log =~ /bind\(\) to \S+ failed \(98/;
        $self->{port} = {};
        unlink "$self->{dir}/error.log";
    }

    return $self if $o{may_fail};
    die "nginx did not start:\n" . join '', map { "# $_\n" }
        grep { /emerg|alert|crit/ } split /\n/, $self->log;
}


sub _start_once {
    my ($self) = @_;

    my $pid = fork();
    die "fork: $!" unless defined $pid;
    if ($pid == 0) {
        open STDOUT, '>>', "$self->{dir}/stdout.log";
        open STDERR, '>&', \*STDOUT;
        $self->_environment;
        # end with the test, however it ends (prctl, PR_SET_PDEATHSIG)
        eval { syscall(157, 1, 15) } if (POSIX::uname())[4] eq 'x86_64';
        exec $self->_command or POSIX::_exit(127);
    }

    $self->{pid} = $pid;
    delete $self->{exit};

    my $up = wait_for(sub {
        $self->_reap and return 1;
        return -s "$self->{dir}/nginx.pid" && $self->workers && $self->_ready;
    }, 20);

    return $up && !defined $self->{exit};
}


# all listening ports answer
sub _ready {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/nginx.conf" or die $!;
    my %ports = map { $_ => 1 } map { /^\s*listen\s+(?:127\.0\.0\.1:)?(\d+)/ }
        <$fh>;
    for my $port (keys %ports) {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
            or return 0;
    }
    return 1;
}


sub _reap {
    my ($self) = @_;

    return 1 unless $self->{pid};
    my $got = waitpid $self->{pid}, WNOHANG;
    return 0 if $got == 0;

    $self->{exit} = $got < 0 ? -1 : $?;
    delete $self->{pid};
    return 1;
}


# process ids of the workers that take requests, oldest first; with a true
# argument also of those that only finish what they have
sub workers {
    my ($self, $all) = @_;
    my $pid = $self->{pid} or return;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
    my @pids = split ' ', readline($fh) // '';

    # valgrind shows its own command line, not nginx's title
    return @pids if $ENV{LLM_VALGRIND};

    return grep {
        my $cmd = '';
        if (open my $c, '<', "/proc/$_/cmdline") {
            $cmd = readline($c) // '';
        }
        $cmd =~ /worker process/ && ($all || $cmd !~ /shutting down/);
    } @pids;
}


sub fd_count { my ($self, $pid) = @_; return scalar(() = glob "/proc/$pid/fd/*") }


# Load the configuration again and wait until workers of it are there; a new
# text may be given.  Returns whether nginx took it.
sub reload {
    my ($self, $conf) = @_;
    my %old = map { $_ => 1 } $self->workers;
    my $size = length $self->log;

    $self->write_conf($conf);
    kill 'HUP', $self->{pid};

    my ($result, $seen);
    wait_for(sub {
        my $new = substr $self->log, $size;
        if ($new =~ /\[emerg\]/) {
            $result = 0;
            return 1;
        }
        my @now = $self->workers;
        return if grep { $old{$_} } @now;       # they might take a request yet
        return if @now < ($self->{workers} || 1);
        return unless $seen++;  # they close their sockets a moment later
        $result = 1;
        return $self->_ready;
    }, 20) or die "reload: no new workers\n";

    return $result;
}


sub signal { kill $_[1], $_[2] // $_[0]{pid} }
sub quit   { $_[0]->_end_with('QUIT', $_[1]) }
sub stop   { $_[0]->_end_with('TERM', $_[1]) }


# false when nginx had to be killed
sub _end_with {
    my ($self, $signal, $timeout) = @_;

    return 1 unless $self->{pid};
    kill $signal, $self->{pid};
    return 1 if wait_for(sub { $self->_reap }, $timeout || 10);

    kill 'KILL', $self->{pid}, $self->workers(1);
    wait_for(sub { $self->_reap }, 5);
    $self->{stuck} = "nginx did not end on $signal";
    return 0;
}


sub _slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or return '';
    local $/;
    return readline($fh) // '';
}

sub log    { _slurp("$_[0]{dir}/error.log") }
sub access { _slurp("$_[0]{dir}/" . ($_[1] || 'access.log')) }


# log lines that would be a problem, and are meant in this test
sub expect_log { my ($self, @re) = @_; push @{ $self->{announced} }, @re }


sub _captured {
    my ($self, $bytes, $where) = @_;

    for my $secret (keys %{ $self->{secret} }) {
        next if index($bytes, $secret) < 0;
        my $what = ref $where ? "an answer ($where->{method})" : $where;
        push @{ $self->{leaks} }, "a secret in $what";
    }
}


# Everything that must not have happened; nginx is ended first.
sub problems {
    my ($self) = @_;
    my @found;

    $self->quit if $self->{pid};
    push @found, delete $self->{stuck} if $self->{stuck};
    push @found, "exit code $self->{exit}"
        if defined $self->{exit} && $self->{exit} != 0;

    my @lines = split /\n/, $self->log;
    for my $line (@lines) {
        next if grep { $line =~ $_ } @{ $self->{announced} };
        push @found, $line
            if $line =~ /\[(?:alert|emerg|crit)\]/
            || $line =~ /exited on signal|exited with code [1-9]/
            || $line =~ /Sanitizer|runtime error:|open socket #/;
    }

    for my $file (glob("$self->{dir}/*"), glob("$self->{dir}/logs/*")) {
        next unless -f $file;
        next unless $file =~ /log|asan|ubsan|vg\./;
        my $text = _slurp($file);
        for my $secret (keys %{ $self->{secret} }) {
            next if index($text, $secret) < 0;
            push @found, 'a secret in ' . ($file =~ s{.*/}{}r);
        }
        push @found, "$file: " . substr $text, 0, 2000
            if $file !~ /error\.log/ && $text =~ /Sanitizer|runtime error:/;
    }

    push @found, @{ $self->{leaks} };
    $self->{checked} = 1;

    my %seen;
    return grep { !$seen{$_}++ } @found;
}


# ---- requests ---------------------------------------------------------------

# http(METHOD => path, headers, body, more options of Client::start, timeout)
sub http {
    my ($self, $method, $path, $headers, $body, %o) = @_;
    my $client = $self->request($method, $path, $headers, $body, %o);
    Test::LLM::Client::run($o{timeout} || 15, $client);
    return $client;
}


# the same, only started
sub request {
    my ($self, $method, $path, $headers, $body, %o) = @_;
    return Test::LLM::Client->start(
        port => $o{port} || $self->port, method => $method, path => $path,
        headers => $headers || {}, body => $body, %o);
}


sub get  { my ($self, $path, @more) = @_; $self->http(GET => $path, @more) }
sub post { my ($self, $path, $body, @more) = @_; $self->http(POST => $path, {}, $body, @more) }


# all at once; list of [ METHOD, path, headers, body, options ]
sub many {
    my ($self, $timeout, @requests) = @_;
    my @clients = map { $self->request(@$_) } @requests;
    Test::LLM::Client::run($timeout, @clients);
    return @clients;
}


# bytes as they are, and every byte back until nginx closes
sub raw {
    my ($self, $bytes, %o) = @_;
    my $client = Test::LLM::Client->start(
        port => $o{port} || $self->port, raw => $bytes, %o);
    Test::LLM::Client::run($o{timeout} || 15, $client);
    return $client;
}


# Ask until the answer is not "not yet"; never a plain sleep.
sub wait_for {
    my ($check, $timeout) = @_;
    my $end = time + ($timeout || 5) * $SLOW;

    for ( ;; ) {
        my $value = $check->();
        return $value if $value;
        return if time > $end;
        select undef, undef, undef, 0.01;
    }
}


sub DESTROY {
    my ($self) = @_;
    return unless $self->{owner} == $$;
    local ($?, $!, $@);
    $self->stop if $self->{pid};
}

1;
