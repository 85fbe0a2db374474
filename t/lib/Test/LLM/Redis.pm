package Test::LLM::Redis;

# A redis-server of the test's own, and what can go wrong with one.
#
#   my $redis = Test::LLM::Redis->new(
#       unix => 1,                      a socket besides the port
#       password => $p,                 requirepass
#       users => [ 'app on >pw ~* +@all' ],    ACL lines
#       tls => $ca->cert(..), ca => $ca->file, clients => 1
#                                       a TLS port; "clients": and their certs
#       replica_of => $redis, cluster => 1, debug => 1,
#       conf => "appendonly yes\n",     more lines
#       port => N, start => 0, clock => $clock  (Test::LLM::Clock)
#   );
#   $redis->cmd('SET', 'k', 'v');       a reply: text, number, list, undef;
#                                       an error dies with its text
#   $redis->try('INCR', 'k');           the same, but (value, error)
#   $redis->pipeline([..], [..]);       list of [ value, error ]
#   $redis->pause, resume (SIGSTOP, SIGCONT), kill_hard, stop, start, restart
#   $redis->calls                       { get => 3, .. } of commandstats
#   $redis->flush                       FLUSHALL
#
#   my ($primary, $replica) = Test::LLM::Redis->pair;
#   $replica->promote;
#   my $sentinel = Test::LLM::Redis->sentinel(master => $primary, name => 'm');
#   my @masters = Test::LLM::Redis->cluster(3);
#
# Nothing is kept on disk unless the test asks for it with conf, and nothing
# outlives the test: the kernel ends each server with the test's process.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();

use Test::LLM::Gateway;
use Test::LLM::Resp;

my @ALL;


# whether this machine has a redis-server
sub available {
    return scalar grep { -x "$_/redis-server" }
        split /:/, "$ENV{PATH}:/usr/bin:/usr/local/bin";
}


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        %o, owner => $$, hold => [],
        dir => File::Temp::tempdir('llm-redis-XXXXXX', TMPDIR => 1,
                                   CLEANUP => !$ENV{LLM_TEST_KEEP}),
    }, $class;

    $self->{port} ||= $self->_free(_ports());
    $self->{tls_port} ||= $self->_free(_ports()) if $o{tls};
    $self->{socket} = "$self->{dir}/redis.sock" if $o{unix};
    push @ALL, $self;

    $self->start unless defined $o{start} && !$o{start};
    return $self;
}


sub _ports { return Test::LLM::Gateway::free_port() }

sub _free {
    my ($self, $port, $hold) = @_;
    push @{ $self->{hold} }, $hold;
    return $port;
}


sub port     { $_[0]{port} }
sub tls_port { $_[0]{tls_port} }
sub socket   { $_[0]{socket} }
sub pid      { $_[0]{pid} }
sub dir      { $_[0]{dir} }
sub address  { "127.0.0.1:$_[0]{port}" }


sub log {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/redis.log" or return '';
    local $/;
    return readline($fh) // '';
}


# ---- the process ------------------------------------------------------------

sub _conf {
    my ($self) = @_;
    my @lines = (
        'bind 127.0.0.1', "port $self->{port}", "dir $self->{dir}",
        'daemonize no', "logfile $self->{dir}/redis.log",
        'save ""', 'appendonly no', 'databases 16',
        'repl-diskless-sync-delay 0', 'repl-ping-replica-period 1',
        'maxmemory 256mb', 'enable-debug-command ' . ($self->{debug} ? 'yes' : 'no'),
    );

    push @lines, "unixsocket $self->{socket}" if $self->{socket};
    push @lines, "requirepass $self->{password}",
        "masterauth $self->{password}" if defined $self->{password};
    push @lines, map { "user $_" } @{ $self->{users} || [] };
    push @lines, "tls-port $self->{tls_port}",
        "tls-cert-file $self->{tls}{cert}", "tls-key-file $self->{tls}{key}",
        "tls-ca-cert-file $self->{ca}",
        'tls-auth-clients ' . ($self->{clients} ? 'yes' : 'no') if $self->{tls};
    push @lines, "replicaof 127.0.0.1 $self->{replica_of}{port}"
        if $self->{replica_of};
    push @lines, 'cluster-enabled yes', 'cluster-node-timeout 2000',
        'cluster-config-file nodes.conf' if $self->{cluster};
    push @lines, $self->{conf} if $self->{conf};

    return join "\n", @lines, '';
}


sub start {
    my ($self) = @_;

    return $self if $self->{pid};

    # a server rewrites its own file (sentinels): the first text is kept
    if (!-e "$self->{dir}/redis.conf" || !$self->{sentinel}) {
        open my $fh, '>', "$self->{dir}/redis.conf" or die $!;
        print $fh $self->{sentinel} || $self->_conf;
        close $fh or die $!;
    }

    my $pid = fork();
    die "fork: $!" unless defined $pid;
    if ($pid == 0) {
        open STDOUT, '>>', "$self->{dir}/stdout.log";
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        %ENV = (%ENV, $self->{clock}->env) if $self->{clock};
        # end with the test, however it ends (prctl, PR_SET_PDEATHSIG, KILL)
        eval { syscall(157, 1, 9) } if (POSIX::uname())[4] eq 'x86_64';
        exec 'redis-server', "$self->{dir}/redis.conf",
            $self->{sentinel} ? '--sentinel' : () or POSIX::_exit(127);
    }
    $self->{pid} = $pid;

    Test::LLM::Gateway::wait_for(sub { $self->_reap || $self->_answers }, 20)
        or die "redis-server does not answer\n";
    die "redis-server did not start:\n" . $self->_words unless $self->{pid};

    return $self;
}


sub _words {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/stdout.log" or return $self->log;
    local $/;
    return (readline($fh) // '') . $self->log;
}


sub _answers {
    my ($self) = @_;
    my ($value, $error) = $self->try('PING');
    return 1 if defined $value || ($error // '') =~ /^(?:NOAUTH|LOADING|NOPERM|MASTERDOWN)/;
    return 0;
}


sub _reap {
    my ($self) = @_;
    return 1 unless $self->{pid};
    return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
    delete @$self{qw(pid conn paused)};
    return 1;
}


sub _signal {
    my ($self, $signal) = @_;
    return if !$self->{pid} || $self->{owner} != $$;

    kill 'CONT', $self->{pid} if delete $self->{paused};
    kill $signal, $self->{pid};
    return if Test::LLM::Gateway::wait_for(sub { $self->_reap }, 10);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete @$self{qw(pid conn)};
}


sub kill_hard { $_[0]->_signal('KILL') }
sub stop      { $_[0]->_signal('TERM') }
sub restart   { my ($s) = @_; $s->kill_hard; $s->start }

# SIGSTOP: connections stay open and are accepted by the kernel, nothing answers
sub pause {
    my ($self) = @_;
    kill 'STOP', $self->{pid};
    $self->{paused} = 1;
    my $stat = "/proc/$self->{pid}/stat";
    Test::LLM::Gateway::wait_for(sub {
        open my $fh, '<', $stat or return 1;
        return (readline $fh) =~ /\) T /;
    }, 5);
}

sub resume {
    my ($self) = @_;
    kill 'CONT', $self->{pid};
    delete $self->{paused};
}


# ---- commands ---------------------------------------------------------------

# The connection of the test itself.  It is made anew when it broke.
sub _conn {
    my ($self) = @_;

    return $self->{conn} if $self->{conn};
    my $conn = Test::LLM::Resp->connect($self->{port}) or return;
    if (defined $self->{password}) {
        my ($ok, $error) = $conn->ask('AUTH', $self->{password});
        return (undef, $error) if $error;
    }
    return $self->{conn} = $conn;
}


sub try {
    my ($self, @args) = @_;
    my ($one) = $self->pipeline(\@args);
    return @$one;
}


sub cmd {
    my ($self, @args) = @_;
    my ($value, $error) = $self->try(@args);
    die "redis: $args[0]: $error\n" if defined $error;
    return $value;
}


sub pipeline {
    my ($self, @commands) = @_;

    my ($conn, $error) = $self->_conn;
    return map { [ undef, $error || 'no connection' ] } @commands unless $conn;

    my @replies = $conn->pipeline(@commands);
    delete $self->{conn} if $conn->{broken};
    return @replies;
}


sub flush { $_[0]->cmd('FLUSHALL') }
sub keys  { my ($s, $like) = @_; return sort @{ $s->cmd('KEYS', $like // '*') } }


# INFO of a section as a hash
sub info {
    my ($self, @section) = @_;
    return { map { /^([^#:][^:]*):(.*?)\r?$/ ? ($1 => $2) : () }
             split /\n/, $self->cmd('INFO', @section) };
}


# How often each command ran since the server started, or reset_calls; scripts
# count as evalsha and the commands inside them besides.
sub calls {
    my ($self) = @_;
    my $info = $self->info('commandstats');
    return { map { my ($n) = $info->{$_} =~ /calls=(\d+)/;
                   s/^cmdstat_//r => $n } CORE::keys %$info };
}

sub reset_calls { $_[0]->cmd('CONFIG', 'RESETSTAT') }


# Round trips that clients asked for: every command but those of the test, of
# replication and of what runs inside scripts (given as names).
sub operations {
    my ($self, @inner) = @_;
    my %not = map { $_ => 1 } @inner, qw(info config config|resetstat replconf psync);
    my $calls = $self->calls;
    my $sum = 0;
    $sum += $calls->{$_} for grep { !$not{$_} && !/^(?:config|replconf)\|/ }
        CORE::keys %$calls;
    return $sum;
}


# ---- more than one server ---------------------------------------------------

# a primary and a replica that has all of it
sub pair {
    my ($class, %o) = @_;
    my $primary = $class->new(%o);
    my $replica = $class->new(%o, replica_of => $primary);
    $replica->synced;
    return ($primary, $replica);
}

sub synced {
    my ($self) = @_;
    Test::LLM::Gateway::wait_for(sub {
        ($self->info('replication')->{master_link_status} // '') eq 'up'
    }, 30) or die "the replica does not follow\n";
}

sub promote { $_[0]->cmd('REPLICAOF', 'NO', 'ONE') }

sub follow {
    my ($self, $primary) = @_;
    $self->cmd('REPLICAOF', '127.0.0.1', $primary->port);
}


# A sentinel that needs nobody else to agree; options: master => $redis,
# name => 'mymaster', down_after => ms, password => (of the sentinel itself).
sub sentinel {
    my ($class, %o) = @_;
    my $name = $o{name} || 'mymaster';
    my $self = $class->new(%o, start => 0);
    my @lines = (
        'bind 127.0.0.1', "port $self->{port}", "dir $self->{dir}",
        'daemonize no', "logfile $self->{dir}/redis.log",
        "sentinel monitor $name 127.0.0.1 $o{master}{port} 1",
        "sentinel down-after-milliseconds $name " . ($o{down_after} || 1000),
        "sentinel failover-timeout $name 5000",
        "sentinel parallel-syncs $name 1",
    );

    push @lines, "sentinel auth-pass $name $o{master}{password}"
        if defined $o{master}{password};
    push @lines, "requirepass $o{password}" if defined $o{password};
    $self->{sentinel} = join "\n", @lines, '';
    $self->{name} = $name;
    return $self->start;
}

# the port a sentinel calls the master's
sub master_port {
    my ($self) = @_;
    my $at = $self->cmd('SENTINEL', 'get-master-addr-by-name', $self->{name});
    return $at ? $at->[1] : undef;
}

# waits until the sentinel knows a replica it could promote
sub knows_replica {
    my ($self) = @_;
    return Test::LLM::Gateway::wait_for(sub {
        my ($list) = $self->try('SENTINEL', 'replicas', $self->{name});
        return $list && grep { my %r = @$_; $r{flags} eq 'slave' } @$list;
    }, 30);
}


# Masters of a cluster with the slots divided evenly; ready when it returns.
sub cluster {
    my ($class, $n, %o) = @_;
    my @nodes = map { $class->_member(%o) } 1 .. $n;
    my $at = 0;

    for my $i (0 .. $#nodes) {
        my $end = int(16384 * ($i + 1) / $n) - 1;
        $nodes[$i]->cmd('CLUSTER', 'SET-CONFIG-EPOCH', $i + 1);
        $nodes[$i]->cmd('CLUSTER', 'ADDSLOTS', $at .. $end);
        $nodes[$i]{slots} = [ $at, $end ];
        $at = $end + 1;
    }
    for my $node (@nodes[1 .. $#nodes]) {
        $nodes[0]->cmd('CLUSTER', 'MEET', '127.0.0.1', $node->port, $node->{bus});
    }
    for my $node (@nodes) {
        Test::LLM::Gateway::wait_for(sub {
            my $info = $node->cmd('CLUSTER', 'INFO');
            return $info =~ /cluster_state:ok/
                && $info =~ /cluster_known_nodes:$n\b/;
        }, 40) or die "the cluster did not form\n";
    }
    return @nodes;
}

# the bus of a node has a port of its own
sub _member {
    my ($class, %o) = @_;
    my ($bus, $hold) = _ports();
    my $self = $class->new(%o, cluster => 1,
        conf => "cluster-port $bus\n" . ($o{conf} // ''));
    push @{ $self->{hold} }, $hold;
    $self->{bus} = $bus;
    return $self;
}

sub node_id { $_[0]->cmd('CLUSTER', 'MYID') }

sub slot_of { my ($self, $key) = @_; return $self->cmd('CLUSTER', 'KEYSLOT', $key) }

# moves an empty slot from this master to another one; "half" stops in the
# middle, where clients are told to ASK
sub move_slot {
    my ($self, $slot, $to, $half) = @_;
    my ($from_id, $to_id) = map { $_->node_id } $self, $to;

    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $from_id);
    $self->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $to_id);
    return if $half;
    $_->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $to_id) for $to, $self;
}


# ---- the end ----------------------------------------------------------------

sub DESTROY {
    my ($self) = @_;
    return unless $self->{owner} == $$;
    local ($?, $!, $@);
    $self->_signal('KILL');
}

END {
    local $?;
    $_->_signal('KILL') for grep { defined && $_->{owner} == $$ } @ALL;
}

1;
