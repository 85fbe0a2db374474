package Test::LLM::Upstream;

# A provider that misbehaves on command, in its own process.
#
#   my $up = Test::LLM::Upstream->new;                  # or tls => { cert, key }
#   $up->on('/v1/chat/completions' => $script, $script, ...);
#   $up->on({ key => 'sk-1', path => '/v1/*' } => $script);
#   $up->on_connect(['rst'], undef);                    # per connection
#
# The n-th request that a rule matches runs its n-th script, the last one
# repeats; the rule given last is asked first.  Matches: path (exact, or a
# prefix with a "*"), key (bearer token), model (of a JSON body).
#
# A script is text with one step a line, or a list of [ verb, argument ]:
#
#   early               start after the request head, not after its body
#   status N [reason]   header NAME: VALUE
#   body TEXT           json TEXT         body-file FILE     whole answers
#   http-file FILE      a raw answer from a fixture (.http)
#   sse-file FILE       begin    chunk TEXT    event JSON    end
#   ended               the raw bytes sent were the end of the chunks
#   send TEXT           send-hex HEX      send-file FILE     raw bytes
#   chunk-raw TEXT      raw bytes behind the head of a chunked answer
#   slice N [MS]        from here on in pieces of N bytes, MS apart
#   pause MS            barrier NAME      until the test says release(NAME)
#   stop-reading        half-close        fin      rst       hang
#   repeat N VERB ...   the rest of the line, N times
#
# send, chunk and chunk-raw know \n \r \t \0 \\ \xHH; json, event and body are
# literal, with {{model}}, {{key}} and {{n}} filled in.  A script that ends
# without fin, rst or hang leaves the connection open for the next request.

use strict;
use warnings;
use base 'Test::LLM::Process';

use Digest::SHA ();
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use File::Temp ();
use IO::Poll qw(POLLIN POLLOUT POLLERR POLLHUP);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY SOMAXCONN);
use Time::HiRes qw(time);

use constant KEEP_BODY => 4 << 20;

my $codec = JSON::PP->new->utf8;


sub new {
    my ($class, %o) = @_;

    my $listen = IO::Socket::INET->new(
        LocalAddr => $o{addr} || '127.0.0.1', LocalPort => $o{port} || 0,
        Proto => 'tcp', Listen => SOMAXCONN, ReuseAddr => 1,
    ) or die "listen: $!";
    $listen->blocking(0);

    my $self = bless {
        listen => $listen, port => $listen->sockport, tls => $o{tls},
        rules => [], connect => [], conns => {}, conn_n => 0, conn_log => [],
        received => [], released => {},
        dir => File::Temp::tempdir('llm-up-XXXXXX', TMPDIR => 1, CLEANUP => 1),
    }, $class;

    require IO::Socket::SSL if $o{tls};
    $self->launch;
    close $listen;

    return $self;
}


# ---- called by the test -----------------------------------------------------

sub port      { $_[0]{port} }
sub url       { ($_[0]{tls} ? 'https' : 'http') . "://127.0.0.1:$_[0]{port}" }
sub on_connect { my ($s, @l) = @_; $s->call('connect', map { _steps($_) } @l) }
sub release   { my ($s, @names) = @_; $s->call('release', @names) }
sub reset     { $_[0]->call('reset') }
sub forget    { $_[0]->call('forget') }         # the records, not the rules
sub close_all { $_[0]->call('close_all') }
sub waiting   { $_[0]->call('waiting', $_[1]) }


sub on {
    my ($self, $match, @scripts) = @_;
    $match = { path => $match } unless ref $match;
    $self->call('rule', $match, map { _steps($_) } @scripts);
}


# Every request so far, in order: n, conn, method, path, headers (pairs),
# h (by lower-case name), len, sha256, body (up to 4 MB) or body_file, at, done
# (the whole body came), key, model, json() of small bodies.
sub received {
    my ($self, $path) = @_;
    return @{ $self->call('received', $path) };
}


# how many; cheap
sub count { my ($self, $path) = @_; return $self->call('count', $path) }


# every connection so far: id, opened, closed (time the gateway went away)
sub connections { @{ $_[0]->call('connections') } }


# ---- the child --------------------------------------------------------------

sub cmd_rule {
    my ($self, $match, @scripts) = @_;
    unshift @{ $self->{rules} }, { match => $match, scripts => \@scripts, n => 0 };
    return 1;
}

sub cmd_connect { my $self = shift; $self->{connect} = [@_]; return 1 }
sub cmd_received {
    my ($self, $path) = @_;
    return [ grep { !defined $path || _path_match($path, $_->{path}) }
             @{ $self->{received} } ];
}

sub cmd_count { my ($self, $path) = @_; return scalar @{ $self->cmd_received($path) } }
sub cmd_connections { $_[0]{conn_log} }

sub cmd_release {
    my ($self, @names) = @_;
    $self->{released}{$_} = 1 for @names;
    return 1;
}

# how many connections stand at a barrier
sub cmd_waiting {
    my ($self, $name) = @_;
    return scalar grep { ($_->{barrier} // '') eq $name }
        values %{ $self->{conns} };
}

sub cmd_reset {
    my ($self) = @_;
    $self->{rules} = [];
    $self->{connect} = [];
    $self->{received} = [];
    $self->{released} = {};
    return 1;
}

sub cmd_forget {
    my ($self) = @_;
    $self->{received} = [];
    @{ $self->{conn_log} } = grep { !$_->{closed} } @{ $self->{conn_log} };
    return 1;
}

sub cmd_close_all {
    my ($self) = @_;
    $self->drop($_, 0) for values %{ $self->{conns} };
    return 1;
}


sub serve {
    my ($self) = @_;

    for ( ;; ) {
        my $poll = IO::Poll->new;
        my $now = time;
        my $wait = 60;
        my @dirty;

        $poll->mask($self->{control} => POLLIN);
        $poll->mask($self->{listen} => POLLIN);

        for my $c (values %{ $self->{conns} }) {
            if ($c->{until}) {
                my $left = $c->{until} - $now;
                $wait = $left < 0 ? 0 : $left if $left < $wait;
            }
            my $mask = $c->{deaf} ? 0 : POLLIN;
            $mask |= POLLOUT if @{ $c->{out} } && !$c->{until};
            $mask |= POLLOUT if $c->{want_write};
            $poll->mask($c->{sock} => $mask);
            $wait = 0 if $self->{tls} && !$c->{deaf} && !$c->{handshake}
                         && $c->{sock}->pending;
        }

        $poll->poll($wait);

        if ($poll->events($self->{control})) {
            return unless $self->answer;
        }

        $self->accept_all if $poll->events($self->{listen});

        for my $c (values %{ $self->{conns} }) {
            my $ev = $poll->events($c->{sock}) || 0;
            $self->run($c, $ev);
        }
    }
}


sub accept_all {
    my ($self) = @_;

    while (my $sock = $self->{listen}->accept) {
        $sock->blocking(0);
        setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;

        my $id = ++$self->{conn_n};
        my $log = { id => $id, opened => time, closed => undef };
        my $c = $self->{conns}{$id} = {
            id => $id, sock => $sock, in => '', out => [], phase => 'head',
            log => $log, steps => [],
        };
        push @{ $self->{conn_log} }, $log;

        my $scripts = $self->{connect};
        my $script = @$scripts > 1 ? shift @$scripts : $scripts->[0];
        if ($script) {
            $self->begin($c, $script);
            $c->{after} = $self->{tls} ? 'handshake' : 'head';
            $self->run($c, 0);
        } elsif ($self->{tls}) {
            $self->handshake($c);
        }
    }
}


sub handshake {
    my ($self, $c) = @_;

    if (!$c->{handshake}) {
        my $t = $self->{tls};
        IO::Socket::SSL->start_SSL($c->{sock}, SSL_server => 1,
            SSL_cert_file => $t->{cert}, SSL_key_file => $t->{key},
            SSL_startHandshake => 0,
            SSL_reuse_ctx => $self->{ctx} ||= IO::Socket::SSL::SSL_Context->new(
                SSL_server => 1, SSL_cert_file => $t->{cert},
                SSL_key_file => $t->{key}),
        ) or return $self->drop($c, 0);
        $c->{sock}->blocking(0);
        $c->{handshake} = 1;
    }

    $c->{want_write} = 0;
    if ($c->{sock}->accept_SSL) {
        $c->{handshake} = 0;
        $c->{log}{sni} = $c->{sock}->get_servername;
        $c->{log}{reused} = Net::SSLeay::session_reused($c->{sock}->_get_ssl_object);
        $c->{phase} = 'head';
        return;
    }

    no warnings 'once';
    my $err = $IO::Socket::SSL::SSL_ERROR;
    if ($err == IO::Socket::SSL::SSL_WANT_WRITE()) {
        $c->{want_write} = 1;
    } elsif ($err != IO::Socket::SSL::SSL_WANT_READ()) {
        $c->{log}{tls_error} = "$err";
        $self->drop($c, 1);
    }
}


# whatever this connection can do now
sub run {
    my ($self, $c, $ev) = @_;

    return $self->handshake($c) if $c->{handshake};

    if ($c->{barrier} && $self->{released}{ $c->{barrier} }) {
        delete $c->{barrier};
    }
    if ($c->{until} && time >= $c->{until}) {
        delete $c->{until};
    }

    if ($ev & (POLLIN | POLLHUP | POLLERR)
        || ($self->{tls} && ref $c->{sock} =~ /SSL/ && $c->{sock}->pending))
    {
        $self->take($c) or return;
    }

    for ( ;; ) {
        return unless $self->{conns}{ $c->{id} };
        return if $c->{until} || $c->{barrier} || $c->{hang};

        if (@{ $c->{out} }) {
            $self->flush($c) or return;
            next;
        }

        if ($c->{phase} eq 'run') {
            $self->step($c);

        } elsif (!$self->parse($c)) {
            return;
        }
    }
}


# read what is there; false when the connection is gone
sub take {
    my ($self, $c) = @_;

    return 1 if $c->{deaf};

    for ( ;; ) {
        my $n = sysread $c->{sock}, my $data, 65536;

        if (!defined $n) {
            return 1 if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
            $self->drop($c, 1);
            return 0;
        }
        if ($n == 0) {
            $self->drop($c, 1);
            return 0;
        }

        if ($c->{phase} eq 'body' || ($c->{req} && !$c->{req}{done})) {
            $self->body($c, $data);
        } else {
            $c->{in} .= $data;
        }
        return 1 if $n < 65536 && !$self->{tls};
        return 1 if $self->{tls} && !$c->{sock}->pending;
    }
}


# one request head; false when more bytes are needed
sub parse {
    my ($self, $c) = @_;

    return 0 unless $c->{phase} eq 'head';

    my $end = index $c->{in}, "\r\n\r\n";
    return 0 if $end < 0;

    my $head = substr $c->{in}, 0, $end + 4, '';
    my $rest = $c->{in};
    $c->{in} = '';

    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $path) = split ' ', $line;
    my @headers = map { [ /^([^:]+):\s*(.*)$/ ] } @lines;
    my %h;
    $h{ lc $_->[0] } = $_->[1] for @headers;

    my $req = {
        n => 1 + @{ $self->{received} }, conn => $c->{id}, method => $method,
        path => $path, line => $line, headers => \@headers, h => \%h,
        head => $head, at => time, len => 0, body => '',
        done => JSON::PP::false,
    };
    ($req->{key}) = ($h{authorization} // '') =~ /^Bearer (.+)$/;
    push @{ $self->{received} }, $req;

    $c->{req} = $req;
    $c->{sha} = Digest::SHA->new(256);
    $c->{left} = $h{'content-length'} || 0;
    $c->{chunked} = ($h{'transfer-encoding'} // '') =~ /chunked/i;
    $c->{raw} = '';
    $c->{phase} = 'body';

    my $rule = $self->select($req, 1);
    if ($rule) {
        $self->begin($c, $rule);
    }

    $self->body($c, $rest);
    return 1;
}


sub body {
    my ($self, $c, $data) = @_;
    my $req = $c->{req};

    if ($c->{chunked}) {
        $c->{raw} .= $data;
        while ($c->{raw} =~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/) {
            my ($size, $skip) = (hex $1, $+[0]);
            last if length $c->{raw} < $skip + $size + 2;
            $self->keep($c, substr $c->{raw}, $skip, $size);
            substr $c->{raw}, 0, $skip + $size + 2, '';
            return $self->body_end($c) if $size == 0;
        }
        return;
    }

    if (length $data > $c->{left}) {
        $c->{in} = substr $data, $c->{left};
        $data = substr $data, 0, $c->{left};
    }

    $c->{left} -= length $data;
    $self->keep($c, $data);
    $self->body_end($c) if $c->{left} == 0;
}


sub keep {
    my ($self, $c, $data) = @_;
    my $req = $c->{req};

    $c->{sha}->add($data);
    $req->{len} += length $data;
    $req->{body} .= $data if $req->{len} <= KEEP_BODY;
}


sub body_end {
    my ($self, $c) = @_;
    my $req = $c->{req};

    $req->{sha256} = $c->{sha}->hexdigest;
    $req->{done} = JSON::PP::true;
    $req->{done_at} = time;
    delete $req->{body} if $req->{len} > KEEP_BODY;

    if ($req->{len} > 100_000) {                # slow to read as a whole
        ($req->{model}) = ($req->{body} // '') =~ /"model"\s*:\s*"([^"]*)"/;
    } elsif ($req->{body} =~ /^\s*\{/) {
        my $data = eval { $codec->decode($req->{body}) };
        $req->{model} = $data->{model} if $data && !ref $data->{model};
    } elsif ($req->{body} =~ /name="?model"?\r\n\r\n([^\r\n]*)/) {
        $req->{model} = $1;
    }

    return unless $c->{phase} eq 'body';        # an early script runs already

    $self->begin($c, $self->select($req, 0) || [
        [ 'status', 404 ],
        [ 'json', '{"error":{"message":"no script","type":"test"}}' ] ]);
}


# the script of the first matching rule; a head-time look only takes scripts
# that want to start early
sub select {
    my ($self, $req, $early) = @_;

    for my $rule (@{ $self->{rules} }) {
        my $m = $rule->{match};

        next if defined $m->{path} && !_path_match($m->{path}, $req->{path});
        next if defined $m->{key} && ($req->{key} // '') ne $m->{key};
        if (defined $m->{model}) {
            return if $early;
            next if ($req->{model} // '') ne $m->{model};
        }

        my $s = $rule->{scripts};
        my $i = $rule->{n} < $#$s ? $rule->{n} : $#$s;
        return if $early && $s->[$i][0][0] ne 'early';
        $rule->{n}++;
        return $s->[$i];
    }

    return;
}


sub begin {
    my ($self, $c, $script) = @_;

    $c->{steps} = [@$script];
    $c->{phase} = 'run';
    $c->{$_} = undef for qw(slice head sent chunking until barrier);
}


sub finish_script {
    my ($self, $c) = @_;

    $self->put($c, "0\r\n\r\n") if $c->{chunking};
    $c->{chunking} = 0;

    if (my $after = delete $c->{after}) {
        return $self->handshake($c) if $after eq 'handshake';
    }

    $c->{phase} = 'head';
    $c->{phase} = 'body' if $c->{req} && !$c->{req}{done};
}


sub step {
    my ($self, $c) = @_;

    my $step = shift @{ $c->{steps} };
    return $self->finish_script($c) unless $step;

    my ($verb, $arg) = @$step;
    $arg //= '';
    (my $method = "do_$verb") =~ tr/-/_/;
    die "no such step: $verb" unless $self->can($method);
    $self->$method($c, $arg);
}


sub fill {
    my ($c, $text) = @_;
    my $req = $c->{req} || {};
    $text =~ s/\{\{(model|key|n|conn|path)\}\}/$req->{$1} \/\/ ''/ge;
    return $text;
}


sub do_early { }

sub do_status {
    my ($self, $c, $arg) = @_;
    $c->{head} = [ $arg =~ / / ? $arg : "$arg Scripted" ];
}

sub do_header {
    my ($self, $c, $arg) = @_;
    $c->{head} ||= [ '200 OK' ];
    push @{ $c->{head} }, fill($c, $arg);
}

sub head_text {
    my ($c, @more) = @_;
    my ($status, @lines) = @{ $c->{head} || [ '200 OK' ] };
    my $have = join "\n", '', @lines;

    for my $m (@more) {
        my ($name) = $m =~ /^([^:]+)/;
        push @lines, $m unless $have =~ /^\Q$name\E:/mi;
    }
    return join("\r\n", "HTTP/1.1 $status", @lines) . "\r\n\r\n";
}

sub do_body {
    my ($self, $c, $arg) = @_;
    $arg = fill($c, $arg) if length $arg < 100_000;
    $self->put($c, head_text($c, 'Content-Type: text/plain',
                             'Content-Length: ' . length $arg) . $arg);
}

sub do_json {
    my ($self, $c, $arg) = @_;
    do_header($self, $c, 'Content-Type: application/json');
    $self->do_body($c, $arg);
}

sub do_body_file { my ($self, $c, $arg) = @_; $self->do_body($c, _slurp($arg)) }

sub do_http_file {
    my ($self, $c, $arg) = @_;
    my $raw = _slurp($arg);
    my ($head, $body) = split /\r\n\r\n/, $raw, 2;
    $self->put($c, $raw);

    my ($len) = $head =~ /^content-length:\s*(\d+)/mi;
    unshift @{ $c->{steps} }, ['fin']
        unless defined $len && $len == length $body;
}

sub do_begin {
    my ($self, $c) = @_;
    return if $c->{sent};
    $c->{sent} = 1;
    $c->{chunking} = 1;
    $self->put($c, head_text($c, 'Content-Type: text/event-stream',
                             'Transfer-Encoding: chunked'));
}

sub chunk {
    my ($self, $c, $bytes) = @_;
    $self->do_begin($c);
    $self->put($c, sprintf("%x\r\n%s\r\n", length $bytes, $bytes))
        if length $bytes;
}

sub do_chunk { my ($s, $c, $arg) = @_; $s->chunk($c, _unescape($arg)) }
sub do_bytes { my ($s, $c, $arg) = @_; $s->chunk($c, $arg) }
sub do_event { my ($s, $c, $arg) = @_; $s->chunk($c, 'data: ' . fill($c, $arg) . "\n\n") }
sub do_chunk_raw { my ($s, $c, $arg) = @_; $s->do_begin($c); $s->put($c, _unescape($arg)) }
sub do_ended { $_[1]{chunking} = 0 }            # raw bytes were the end
sub do_end { my ($s, $c) = @_; $s->put($c, "0\r\n\r\n"); $c->{chunking} = 0 }

# the slices of a sliced file are chunks of their own, as a provider sends them
sub do_sse_file {
    my ($self, $c, $arg) = @_;
    my $data = _slurp($arg);
    my $size = $c->{slice} ? $c->{slice}[0] : length $data;
    my $ms = $c->{slice} ? $c->{slice}[1] : 0;
    my $slice = delete $c->{slice};

    while (length $data) {
        $self->chunk($c, substr $data, 0, $size, '');
        push @{ $c->{out} }, { pause => $ms / 1000 } if $ms && length $data;
    }
    $c->{slice} = $slice;
}

sub do_send { my ($s, $c, $arg) = @_; $s->put($c, _unescape($arg)) }
sub do_raw { my ($s, $c, $arg) = @_; $s->put($c, $arg) }
sub do_send_hex { my ($s, $c, $arg) = @_; $s->put($c, pack 'H*', $arg =~ s/\s//gr) }
sub do_send_file { my ($s, $c, $arg) = @_; $s->put($c, _slurp($arg)) }

sub do_slice {
    my ($self, $c, $arg) = @_;
    my ($n, $ms) = split ' ', $arg;
    $c->{slice} = $n ? [ $n, $ms || 0 ] : undef;
}

sub do_pause { my ($s, $c, $arg) = @_; $c->{until} = time + $arg / 1000 }
sub do_barrier { my ($s, $c, $arg) = @_; $c->{barrier} = $arg unless $s->{released}{$arg} }
sub do_hang { my ($s, $c) = @_; $c->{hang} = 1 }
sub do_stop_reading { my ($s, $c) = @_; $c->{deaf} = 1 }
sub do_half_close { my ($s, $c) = @_; shutdown $c->{sock}, 1 }
sub do_fin { my ($s, $c) = @_; $s->drop($c, 0) }

sub do_rst {
    my ($self, $c) = @_;
    setsockopt $c->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    $self->drop($c, 0, 1);
}

sub do_repeat {
    my ($self, $c, $arg) = @_;
    my ($n, $verb, $rest) = split ' ', $arg, 3;
    unshift @{ $c->{steps} }, map { [ $verb, $rest ] } 1 .. $n;
}


sub put {
    my ($self, $c, $bytes) = @_;
    my $s = $c->{slice};

    if (!$s) {
        push @{ $c->{out} }, $bytes;
        return;
    }
    while (length $bytes) {
        push @{ $c->{out} }, substr $bytes, 0, $s->[0], '';
        push @{ $c->{out} }, { pause => $s->[1] / 1000 } if $s->[1];
    }
}


# false when the socket takes no more now
sub flush {
    my ($self, $c) = @_;

    while (@{ $c->{out} }) {
        if (ref $c->{out}[0]) {
            my $p = shift @{ $c->{out} };
            $c->{until} = time + $p->{pause};
            return 0;
        }

        my $n = syswrite $c->{sock}, $c->{out}[0];
        if (!defined $n) {
            return 0 if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
            $self->drop($c, 1);
            return 0;
        }

        $c->{log}{sent} += $n;
        substr $c->{out}[0], 0, $n, '';
        shift @{ $c->{out} } unless length $c->{out}[0];
    }

    return 1;
}


# forget a connection; $peer: the gateway ended it
sub drop {
    my ($self, $c, $peer, $hard) = @_;

    return unless delete $self->{conns}{ $c->{id} };
    $c->{log}{closed} = time;
    $c->{log}{by} = $peer ? 'gateway' : 'script';
    $c->{req}{gone} = 1 if $peer && $c->{req} && $c->{phase} ne 'head';

    if ($self->{tls} && $c->{sock}->can('stop_SSL')) {
        $c->{sock}->close($hard || $peer ? (SSL_no_shutdown => 1) : ());
    } else {
        close $c->{sock};
    }
}


# ---- helpers ----------------------------------------------------------------

sub _steps {
    my ($script) = @_;

    return unless defined $script;
    return [ map { ref $_ ? $_ : [ $_ ] } @$script ] if ref $script;
    return [
        map { [ split ' ', $_, 2 ] }
        grep { length }
        map { s/^\s+//r } split /\n/, $script
    ];
}

sub _path_match {
    my ($pattern, $path) = @_;
    return $path =~ /^\Q$1\E/ if $pattern =~ /^(.*)\*$/;
    return $path eq $pattern;
}

sub _unescape {
    my ($text) = @_;
    my %c = (n => "\n", r => "\r", t => "\t", 0 => "\0", '\\' => '\\');
    $text =~ s/\\(?:x([0-9a-fA-F]{2})|(.))/defined $1 ? chr hex $1 : $c{$2} \/\/ "\\$2"/ge;
    return $text;
}

sub _slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar readline $fh;
}

1;
